"""docs/performance-gpu.md out of results.json: every line of the page follows from the numbers.

    python3 benches/gpu/report.py                    write the page
    python3 benches/gpu/report.py --check            fail where the page is not what the numbers say
    python3 benches/gpu/report.py --take FILE...     take a visit's results.json into the committed one first

README.md says how the numbers are made.
"""

import argparse
import difflib
import importlib.util
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS, PAGE = HERE / "results.json", ROOT / "docs" / "performance-gpu.md"
# Fields of a step in a run's metrics.jsonl.
STEP = ("step", "epoch", "images_per_second", "data_wait")
# The share of the time that a run may wait for pictures.
MOST_WAITING = 0.10
# How many times as fast as PyTorch each work shall be, in bfloat16 on an H200.
GOALS = {"pretrain": 1.5, "finetune": 1.0, "predict": 1.0}

# The other report.py, whose tables these are too.
_spec = importlib.util.spec_from_file_location("compare_report", HERE.parent / "compare" / "report.py")
compare = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compare)
read, write_results = compare.read, compare.write_results

HEAD = "# Performance on NVIDIA GPUs\n\n" + compare.paragraph(
    "How fast fcmae is on a card beside compiled PyTorch, in bfloat16. Written by `benches/gpu/report.py` "
    "from `benches/gpu/results.json`; don't edit it. [benches/gpu/README.md](../benches/gpu/README.md) says "
    "how to make such numbers. On a processor: [performance.md](performance.md)."
)
NOT_YET = "**Not yet run on a card.** There are no numbers, and none are claimed.\n"
PLAN = (
    ("Right", "`fcmae doctor --check`: every operation and 20 steps of training agree with the CPU."),
    (
        "FCMAE step, atto and tiny",
        "batch 256, 224², 60 % hidden, beside masked-dense FCMAE in PyTorch. Goal on an H200: at least 1.5 "
        "times as fast.",
    ),
    ("Fine-tuning step, atto and tiny", "batch 128, beside timm's network. Goal: at least as fast."),
    ("Inference, atto and tiny", "batch 256, beside timm's network. Goal: at least as fast."),
    (
        "The card itself",
        "bytes a second of a copy within its memory, and the rate of a bfloat16 matrix product, both by "
        "PyTorch before and after the rows.",
    ),
    (
        "From end to end",
        "a pre-training of tiny from JPEG files. Goal: from the second epoch on, at most 10 % of the time "
        "is waiting for pictures.",
    ),
)
HOW = (
    "PyTorch is compiled (`torch.compile`), in one memory layout, with bfloat16 by autocast and fused AdamW; "
    "inference has its weights in bfloat16 too.",
    "Images of both sides are made up, and on the card before a step begins. fcmae's steps are timed one by "
    "one, each until its loss or its scores are back; PyTorch's by events on the card, with nothing read "
    "back, so that it never waits for the processor. That favours PyTorch.",
    "Each side is a process that lives through a row and takes short turns, every other round in the "
    "opposite order. Both are warm before the first.",
    "Medians are over all steps. Ratio: the median of the rounds' own ratios of median steps, above 1 where "
    "fcmae is faster; spread: the lowest and the highest of them.",
)


def summary(row: dict) -> dict:
    """Medians over all rounds, and the rounds' ratios where both sides were there."""
    rounds = row["rounds"]
    sides = list(row["answers"])
    seconds = {side: statistics.median(sum((each["seconds"][side] for each in rounds), [])) for side in sides}
    found = {
        "seconds": seconds,
        "images_per_second": {side: row["batch"] / value for side, value in seconds.items()},
        "rounds": len(rounds),
    }
    if "PyTorch" in sides:
        ratios = [
            statistics.median(each["seconds"]["PyTorch"]) / statistics.median(each["seconds"]["fcmae"])
            for each in rounds
        ]
        found |= {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    return found


def label(row: dict) -> str:
    return f"{compare.WORK[row['work']]}, {row['size']}, batch {row['batch']}, {row['image']}²"


def told(row: dict) -> str:
    """A row in a line."""
    found = summary(row)
    rates = ", ".join(f"{side} {rate:,.0f}" for side, rate in found["images_per_second"].items())
    ratio = (
        f"; ratio {found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
        if "ratio" in found
        else ""
    )
    return f"{label(row)}: images/s {rates}{ratio}"


def waiting(found: dict) -> dict | None:
    """How much of the time is waiting for pictures, from the second epoch on; none where it wasn't reached."""
    steps = [dict(zip(STEP, values)) for values in zip(*(found[name] for name in STEP))]
    # A step is told by where the epochs stand after it.
    steps = [step for step in steps if step["epoch"] > 1.0]
    if not steps:
        return None
    seconds = [1.0 / step["images_per_second"] for step in steps]
    waited = sum(each * step["data_wait"] for each, step in zip(seconds, steps))
    rate = len(seconds) / sum(seconds)
    share = waited / sum(seconds)
    return {"share": share, "steps": len(steps), "images_per_second": rate, "epochs": steps[-1]["epoch"]}


def text(results: dict) -> str:
    """The page."""
    check, rows = results.get("check"), results.get("rows")
    if not check and not rows:
        return f"{HEAD}\n{NOT_YET}\n{plan()}"
    parts = [HEAD]
    if results["device"] != "cuda":
        parts.append(
            "**A trial of the scripts on a processor, with tiny images: these numbers say nothing.**\n"
        )
    parts.append(checked(check))
    if not rows:
        parts.append("Speed was not measured yet.\n\n" + plan())
        return "\n".join(parts)
    parts += [about(results), speed(results)]
    if results.get("rates"):
        parts.append(rates(results["rates"]))
    parts.append(from_end_to_end(results))
    if results["left_out"]:
        items = "".join(compare.item(f"{each['what']}: {each['why']}.") for each in results["left_out"])
        parts.append(f"## Left out\n\n{items}")
    parts.append("## How\n\n" + "".join(compare.item(each) for each in HOW))
    return "\n".join(parts)


def plan() -> str:
    items = "".join(compare.item(f"{what}: {how}") for what, how in PLAN)
    how = "".join(compare.item(each) for each in HOW)
    return f"## What will be measured\n\n{items}\n## How\n\n{how}"


def checked(check: dict | None) -> str:
    if not check:
        return "The check against the CPU has no outcome here.\n"
    outcome = "passed" if check["exit"] == 0 else f"**failed** (code {check['exit']})"
    where = f" on {check['card']['name']}" if check.get("card") else ""
    # The operations' own numbers stand in results.json.
    return compare.paragraph(
        f"`fcmae doctor --check` {outcome}{where} in {check['seconds']:.0f} s, on {check['date']}: program "
        f"{check['fcmae']['version']} (SHA-256 {check['fcmae']['sha256']}), {check['commit'] or 'no commit'}."
    )


def about(results: dict) -> str:
    machine, torch, program = results["machine"], results.get("torch", {}), results["fcmae"]
    card = results.get("card") or torch.get("card") or {}
    lines = []
    if results["device"] == "cuda":
        driver = card.get("driver_version", "unknown")
        lines.append(f"Card: {card.get('name', 'unknown')}, driver {driver}.")
    lines.append(
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, "
        f"{machine['os']}."
    )
    lines.append(
        f"Date: {results['date']}; fcmae {program['version']} (SHA-256 {program['sha256']}) at "
        f"{results['commit'] or 'no commit'}; {results['seconds']:.0f} s of {results['budget_seconds']:.0f}."
    )
    if torch.get("usable"):
        versions = dict(torch["versions"])
        versions |= {name: torch[name] for name in ("cuda", "cudnn") if torch.get(name)}
        lines.append(f"PyTorch's side: {', '.join(f'{name} {each}' for name, each in versions.items())}.")
    else:
        lines.append(f"PyTorch could not be used ({torch.get('reason')}): fcmae's side alone was timed.")
    return "".join(map(compare.item, lines))


def speed(results: dict) -> str:
    products = [rate for each in results.get("rates", []) for rate in each["product_tflops"]]
    lines, notes = [], []
    for row in sorted(results["rows"], key=lambda row: (list(compare.WORK).index(row["work"]), row["size"])):
        found = summary(row)
        rate = found["images_per_second"]
        cells = [label(row)]
        cells.append(compare.digits(rate["PyTorch"]) if "PyTorch" in rate else "–")
        cells.append(compare.digits(rate["fcmae"]))
        if "ratio" in found:
            cells += [f"{found['ratio']:.2f}", f"{found['low']:.2f} to {found['high']:.2f}"]
            reached = found["ratio"] >= GOALS[row["work"]]
            cells.append(f"{GOALS[row['work']]:.1f}, {'reached' if reached else 'not reached'}")
            opponent = row["opponent"]
            mode = "compiled" if row["compiled"] else "eager"
            notes.append(
                f"{label(row)}: {opponent['network']}, {mode}, channels {opponent['layout']}; "
                f"{opponent['seconds']:.0f} s to its first steps; {found['rounds']} rounds."
            )
        else:
            cells += ["–"] * 3
        gflop = row["answers"]["fcmae"].get("gflop_per_image")
        share = 1e-3 * gflop * rate["fcmae"] / statistics.median(products) if products and gflop else None
        cells.append(f"{100 * share:.1f} %" if share is not None else "–")
        lines.append(cells)
    columns = ["work", "PyTorch images/s:", "fcmae images/s:", "ratio:", "spread:", "goal", "of product:"]
    page = "## Speed\n\n" + compare.table(columns, lines)
    page += "\n" + compare.paragraph(
        "Of product: the arithmetic that fcmae's step has to do, over the card's own rate in matrix "
        "products. The goals are for an H200."
    )
    return page + ("\nPyTorch's side:\n\n" + "".join(map(compare.item, notes)) if notes else "")


def rates(found: list) -> str:
    lines = []
    for each in found:
        cells = [f"{each['when']} the rows"]
        for name in ("copy_gb_per_second", "product_tflops"):
            values = each[name]
            spread = f"{compare.digits(min(values))} to {compare.digits(max(values))}"
            cells.append(f"{compare.digits(statistics.median(values))} ({spread})")
        lines.append(cells)
    side, size = found[0]["side"], found[0]["bytes"] / 2**20
    return (
        "## The card itself\n\n"
        + compare.table(["", "copy, GB/s:", "product, TFLOP/s:"], lines)
        + "\n"
        + compare.paragraph(
            f"Copy: {size:,.0f} MiB within the card's memory, bytes read and written. Product: two bfloat16 "
            f"matrices of {side} × {side}. Medians, and the lowest and highest."
        )
    )


def from_end_to_end(results: dict) -> str:
    page = "## From end to end\n\n"
    found, load = results.get("end_to_end"), results.get("load")
    wait = waiting(found) if found else None
    if wait is None:
        return page + "It was not measured: see below.\n"
    reached = "reached" if wait["share"] <= MOST_WAITING else "not reached"
    told = (
        f"Pre-training of {found['size']}, batch {found['batch']}, {found['image']}², from JPEG files that "
        f"are decoded in every epoch: {compare.digits(wait['images_per_second'])} images/s over "
        f"{wait['steps']} steps from the second epoch on, {100 * wait['share']:.1f} % of the time waiting "
        f"for pictures (goal: at most {100 * MOST_WAITING:.0f} %, {reached})."
    )
    if found["cut"]:
        told += f" The run was ended in epoch {wait['epochs']:.2f}, where its time was over."
    if found.get("failed"):
        told += f" It failed later: {found['failed']}."
    if load:
        told += f" The processor alone loads {compare.digits(load['images_per_second'])} images/s."
    return page + compare.paragraph(told)


def write_page(results: dict, page: Path) -> None:
    page.write_text(text(results))


def take(files: list) -> None:
    """Later files win, part by part: a check and the times may be of two visits."""
    results = read(RESULTS)
    for file in files:
        visit = read(file)
        if visit.get("device") != "cuda":
            raise SystemExit(f"{file} is missing, or not of a card")
        timed = {name: value for name, value in visit.items() if name != "check"}
        if "rows" in visit:
            results = {**timed, **{name: results[name] for name in ("check",) if name in results}}
        if "check" in visit:
            results["check"] = visit["check"]
        results["device"] = "cuda"
    write_results(RESULTS, results)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--take", type=Path, nargs="+", metavar="FILE", help="results of visits")
    args = parser.parse_args()
    if args.take:
        take(args.take)
    results = read(RESULTS)
    if results and results.get("device") != "cuda":
        raise SystemExit(f"{RESULTS} is not of a card")
    if not args.check:
        write_page(results, PAGE)
        return
    there = PAGE.read_text() if PAGE.exists() else ""
    lines = difflib.unified_diff(
        there.splitlines(), text(results).splitlines(), str(PAGE), "what the numbers say", lineterm=""
    )
    difference = "\n".join(lines)
    if difference:
        print(difference)
        sys.exit("the page is not what the numbers say: python3 benches/gpu/report.py")


if __name__ == "__main__":
    main()
