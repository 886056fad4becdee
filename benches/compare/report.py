"""The results as a page and plots. What stands outside the markers of the page stays as it is."""

import json
import os
import statistics
import textwrap
from contextlib import contextmanager
from pathlib import Path

BEGIN = "<!-- measured: begin (written by benches/compare, edit around it) -->"
END = "<!-- measured: end -->"
HEAD = """# Performance

How fast fcmae is beside what else one could use, how its time grows, and what it takes of the machine.
Made by `bash benches/compare/run`; [benches/compare/README.md](../benches/compare/README.md) says how it
is measured.
"""
WORK = {"pretrain": "FCMAE training step", "finetune": "fine-tuning step", "predict": "inference"}


def read(path: Path) -> dict:
    """The results so far."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_results(path: Path, results: dict) -> None:
    """All raw numbers, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rounded(results), indent=1)
    # Lists of numbers on one line each.
    whole = path.with_suffix(".new")
    whole.write_text(compact(text) + "\n")
    os.replace(whole, path)


def rounded(value):
    """Numbers to six digits: more is noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return value


def compact(text: str) -> str:
    lines, held = [], None
    for line in text.splitlines():
        bare = line.strip()
        if held is not None and bare.rstrip(",") == "]":
            lines.append(f"{held}{bare}")
            held = None
        elif held is not None and not bare.startswith(("{", "[", '"')):
            held += f"{bare} " if bare.endswith(",") else bare
        elif bare.endswith("["):
            if held is not None:
                lines.append(held)
            held = line
        else:
            if held is not None:
                lines.append(held)
                held = None
            lines.append(line)
    return "\n".join(lines)


def fit(points: list) -> dict:
    """Least squares: seconds = intercept + slope · x, and how far the medians are off."""
    xs = [point["x"] for point in points]
    ys = [statistics.median(point["seconds"]) for point in points]
    slope, intercept = statistics.linear_regression(xs, ys)
    off = [100.0 * (y / (intercept + slope * x) - 1.0) for x, y in zip(xs, ys)]
    worst = max(off, key=abs)
    return {"slope": slope, "intercept": intercept, "worst_percent": abs(worst), "off_percent": off}


def write(results: dict, page: Path, images: Path) -> None:
    """The page's section and the plots."""
    page.parent.mkdir(parents=True, exist_ok=True)
    images.mkdir(parents=True, exist_ok=True)
    text = page.read_text() if page.exists() else f"{HEAD}\n{BEGIN}\n{END}\n"
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{page}: the markers are gone; put back the lines\n{BEGIN}\n{END}")
    page.write_text(f"{before}{BEGIN}\n\n{section(results, images)}\n{END}{after}")


def section(results: dict, images: Path) -> str:
    rows = results.get("rows", {})
    parts = [about(results)]
    contests = [row for row in rows.values() if row.get("trial") and row["group"] != "load"]
    if contests:
        parts.append(speed(contests, images))
    if "matrix" in rows:
        parts.append(matrix(rows["matrix"]))
    steps = [row for row in contests if row["work"] == "pretrain"]
    if steps:
        parts.append(memory(steps))
    for name in ("visible", "pixels"):
        if f"growth {name}" in rows:
            parts.append(growth(name, rows[f"growth {name}"], images))
    if "load" in rows:
        parts.append(loading(rows["load"]))
    if "start" in rows:
        parts.append(start(rows["start"]))
    return "\n".join(parts)


def about(results: dict) -> str:
    machine, versions, rows = results["machine"], results["versions"], results["rows"].values()
    dates = sorted({row["date"] for row in rows})
    commits = sorted({row["commit"] for row in rows if row["commit"]})
    threads = sorted({row["threads"] for row in rows})
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    memory = machine["memory_bytes"] / 2**30
    disturbed = sum(row["summary"].get("disturbed_rounds", 0) for row in rows)
    text = item(
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {memory:.0f} GiB, {machine['os']}; "
        f"{' or '.join(map(str, threads))} threads on both sides, float32."
    )
    text += item(
        f"Date: {' to '.join(sorted({dates[0], dates[-1]}))}; fcmae at {', '.join(commits) or 'no commit'}."
    )
    text += item(f"Versions: {programs}.")
    if disturbed:
        text += item(f"In {disturbed} rounds somebody else took a noticeable part of the processor.")
    return text


def table(columns: list, rows: list) -> str:
    """A Markdown table; columns that end in a colon stand on the right."""
    names = [column.rstrip(":") for column in columns]
    lines = ["| " + " | ".join(names) + " |"]
    lines.append("|" + "|".join("---:" if column.endswith(":") else "---" for column in columns) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def paragraph(text: str) -> str:
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False) + "\n"


def item(text: str) -> str:
    return (
        textwrap.fill(text, 110, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) + "\n"
    )


def digits(value: float) -> str:
    """About three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def speed(contests: list, images: Path) -> str:
    lines = []
    for row in contests:
        found = row["summary"]
        lines.append(
            [
                f"{WORK[row['work']]}, {row['size']}, batch {row['batch']}, {row['image']}²",
                found["opponent"],
                digits(found["opponent_images_per_second"]),
                digits(found["images_per_second"]),
                f"{found['ratio']:.2f}",
                f"{found['median_of_round_ratios']:.2f}",
                f"{100 * found['share']:.0f} %",
            ]
        )
    bars(contests, images / "speed.svg")
    columns = ["work", "fastest opponent", "its images/s:", "fcmae images/s:", "ratio:", "of rounds:"]
    text = "### Speed\n\n" + table([*columns, "of matrix:"], lines)
    text += "\n![images per second beside the fastest opponent](images/speed.svg)\n"
    text += "\n" + paragraph(
        "Ratio: fcmae's images a second over the opponent's, from medians over all rounds; of rounds: the "
        "median of each round's own ratio. Of matrix: the arithmetic that the work needs, over what fcmae's "
        "matrix products reach in the same round."
    )
    text += "\nAll variants, in a short trial beforehand, images/s:\n\n"
    for row in contests:
        text += item(f"{WORK[row['work']]}, {row['size']}, batch {row['batch']}: {trial(row)}.")
    return text


def bars(contests: list, file: Path) -> None:
    """Each work's images a second over those of its fastest opponent."""
    with canvas(file, (7.6, 0.62 * len(contests) + 0.9)) as axes:
        names = []
        for place, row in enumerate(contests):
            found = row["summary"]
            opponent = found["opponent"].split(",")[0]
            axes.barh(place - 0.19, 1.0, 0.36, color="0.8")
            axes.barh(place + 0.19, found["ratio"], 0.36, color="tab:blue")
            mine, other = digits(found["images_per_second"]), digits(found["opponent_images_per_second"])
            axes.text(1.04, place - 0.19, f"{opponent}  {other} images/s", va="center", fontsize=8, color="0.35")
            axes.text(found["ratio"] + 0.04, place + 0.19, f"fcmae  {mine} images/s", va="center", fontsize=8)
            names.append(f"{WORK[row['work']]}\n{row['size']}, batch {row['batch']}, {row['image']}²")
        axes.set_yticks(range(len(contests)), names, fontsize=8)
        axes.set(xlabel="images per second, fastest opponent = 1", xlim=(0, 1.35 * max(axes.get_xlim())))
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)


def trial(row: dict) -> str:
    """Every variant with its images a second."""
    tried = []
    for name, found in row["trial"].items():
        rate = digits(row["batch"] / found["seconds"]) if "seconds" in found else "failed"
        tried.append(f"{name} {rate}")
    return "; ".join(tried)


def matrix(row: dict) -> str:
    rates = row["summary"]["gflops"]
    return "### Matrix products\n\n" + paragraph(
        f"Two matrices of 1024 × 1024: `torch.mm` {rates['torch.mm']:.0f} GFLOP/s, fcmae "
        f"{rates['fcmae']:.0f} GFLOP/s ({row['summary']['ratio']:.2f} of it)."
    )


def memory(steps: list) -> str:
    lines = []
    for row in steps:
        opponent = row["summary"]["opponent"]
        tried = [found["peak_memory_bytes"] for found in row["trial"].values() if "seconds" in found]
        peaks = [row["peak_memory_bytes"][opponent], min(tried), row["peak_memory_bytes"]["fcmae"]]
        cells = [f"{peak / 2**20:,.0f} MiB" for peak in peaks]
        lines.append([f"{row['size']}, batch {row['batch']}", *cells, f"{peaks[2] / peaks[1]:.2f}"])
    columns = ["FCMAE training step", "fastest opponent:", "leanest variant:", "fcmae:", "of the leanest:"]
    return "### Memory\n\nThe most that the whole process had (VmHWM).\n\n" + table(columns, lines)


def growth(name: str, row: dict, images: Path) -> str:
    file = images / f"growth-{name}.svg"
    what = {"visible": "visible share of the patches", "pixels": "pixels of an image"}[name]
    plot(row, what, file)
    found = row["summary"]
    image = row["points"][0]["image"]
    at = f" at {image}²" if name == "visible" else ", 60 % hidden"
    whole = {
        "visible": "One patch at least is hidden: there would be nothing to predict.",
        "pixels": "Whole patches are hidden, so that the visible share varies a little with the size.",
    }
    text = f"### Time against the {what}\n\n" + paragraph(
        f"FCMAE training step of {row['size']}, batch {row['batch']}{at}. Off the straight line by at most "
        f"{found['worst_percent']:.1f} %. {whole[name]}"
    )
    return text + f"\n![{what}](images/{file.name})\n"


@contextmanager
def canvas(file: Path, size: tuple):
    """Axes to draw on, written to the file at the end."""
    import matplotlib

    matplotlib.use("svg")
    # The same numbers give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "fcmae"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=size, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def plot(row: dict, what: str, file: Path) -> None:
    xs = [point["x"] for point in row["points"]]
    ys = [1000.0 * statistics.median(point["seconds"]) for point in row["points"]]
    found = row["summary"]
    line = [1000.0 * (found["intercept"] + found["slope"] * x) for x in (0.0, max(xs))]
    with canvas(file, (6.4, 4.0)) as axes:
        axes.plot([0.0, max(xs)], line, color="0.6", label="straight line")
        axes.plot(xs, ys, "o", color="tab:blue", label="median step")
        axes.set(xlabel=what, ylabel="ms", xlim=(0, None), ylim=(0, None))
        axes.legend(frameon=False)


def loading(row: dict) -> str:
    found = row["summary"]
    columns = ["opponent", "its images/s:", "fcmae images/s:", "ratio:", "of rounds:"]
    rates = [digits(found["opponent_images_per_second"]), digits(found["images_per_second"])]
    ratios = [f"{found['ratio']:.2f}", f"{found['median_of_round_ratios']:.2f}"]
    text = "### Loading\n\n" + paragraph(
        f"{row['batch']} JPEG files, decoded, cropped at random, resized bicubically to {row['image']}², "
        "mirrored, normalized."
    )
    text += "\n"
    return (
        text
        + table(columns, [[found["opponent"], *rates, *ratios]])
        + f"\n{paragraph(f'In the trial: {trial(row)}.')}"
    )


def start(row: dict) -> str:
    cells = [f"{1000 * seconds:,.0f} ms" for seconds in row["summary"]["seconds"].values()]
    count = len(next(iter(row["seconds"].values())))
    text = "### From the start of a process to a class\n\n"
    text += f"{row['size']}, one picture, files in the page cache, medians of {count}.\n\n"
    columns = [f"{name}:" for name in row["summary"]["seconds"]]
    return text + table([*columns, "ratio:"], [[*cells, f"{row['summary']['ratio']:.1f}"]])
