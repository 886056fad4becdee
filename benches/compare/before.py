"""Two programs of this project beside each other: paired ratios, their interval, and a table of them.

A round's ratio is above 1 where the current program is faster. The mean is geometric, and the 95 % interval is
Student's t over the rounds' log ratios: a ratio and its inverse then weigh the same, and a slow minute of the
machine, which both sides share, drops out.
"""

import hashlib
import math
import statistics
from pathlib import Path

import report
from quiet import ALLOWED

# A row whose whole interval lies below this is marked.
SLOWER = 0.98
# Student's t at 0.975, by degrees of freedom from 1.
QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def quantile(free: int) -> float:
    """Student's t at 0.975; beyond the table by its expansion around the normal's, right to 0.001."""
    if free <= len(QUANTILES):
        return QUANTILES[free - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)


def interval(ratios: list) -> dict:
    """Geometric mean and 95 % interval of at least two ratios."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    reach = quantile(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return {"ratio": math.exp(mean), "low": math.exp(mean - reach), "high": math.exp(mean + reach)}


def summary(rounds: list, peaks: dict | None) -> dict:
    """Of rounds that have each side's `seconds` (a list), or its `gflops`."""
    timed = "seconds" in rounds[0]
    sides = ("before", "fcmae")
    if timed:
        values = [{side: statistics.median(found["seconds"][side]) for side in sides} for found in rounds]
        ratios = [value["before"] / value["fcmae"] for value in values]
        medians = {side: statistics.median(sum((r["seconds"][side] for r in rounds), [])) for side in sides}
    else:
        ratios = [found["gflops"]["fcmae"] / found["gflops"]["before"] for found in rounds]
        medians = {side: statistics.median(found["gflops"][side] for found in rounds) for side in sides}
    found = {"medians": medians, "ratios": ratios, **interval(ratios)}
    found["slower"] = found["high"] < SLOWER
    if peaks and all(peaks[side] for side in sides):
        found["memory_ratio"] = peaks["fcmae"] / peaks["before"]
    found["disturbed_rounds"] = sum(each.get("foreign_share", 0.0) > ALLOWED for each in rounds)
    return found


def program(path: Path) -> dict:
    """What tells one program from another; no path of this machine."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": "/".join(path.resolve().parts[-2:]), "sha256": digest[:16]}


def text(results: dict) -> str:
    """The table, and what has to be said about it."""
    rows = results["rows"]
    compared = {name: row for name, row in rows.items() if "summary" in row}
    programs = results["programs"]
    sides = [f"{side['file']} (SHA-256 {side['sha256']})" for side in (programs["before"], programs["fcmae"])]
    machine = results["machine"]
    parts = [f"# Before and now\n\n{report.item(f'Before: {sides[0]}.')}{report.item(f'Now: {sides[1]}.')}"]
    parts[0] += report.item(
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, "
        f"{machine['os']}; {' or '.join(sorted({str(row['threads']) for row in rows.values()}))} threads."
    )
    if compared:
        lines = [line(row) for row in compared.values()]
        columns = ["work", "", "before:", "now:", "ratio:", "95 % interval:", "rounds:"]
        columns += ["MiB before:", "MiB now:", "memory:", "verdict"]
        parts.append(report.table(columns, lines))
        parts.append(
            report.paragraph(
                "Ratio: the geometric mean of the rounds' own, above 1 where now is faster; the interval is "
                "Student's t over the rounds' log ratios. SLOWER: the whole interval is below "
                f"{SLOWER}. Memory: the peak of the whole process (VmHWM), now over before."
            )
        )
        slower = sum(row["summary"]["slower"] for row in compared.values())
        parts.append(f"{slower} of {len(compared)} rows are slower.\n")
    disturbed = [row for row in compared.values() if row["summary"]["disturbed_rounds"]]
    if disturbed:
        count = sum(row["summary"]["disturbed_rounds"] for row in disturbed)
        told = "somebody else took a noticeable part of the processor"
        parts.append(report.paragraph(f"In {count} rounds of {len(disturbed)} rows {told}."))
    failed = [f"- {row['label']}: {row['failed']}\n" for row in rows.values() if "failed" in row]
    if failed:
        parts.append("Without numbers, as the earlier program failed:\n\n" + "".join(failed))
    return "\n".join(parts)


def line(row: dict) -> list:
    found = row["summary"]
    medians, peaks = found["medians"], row.get("peak_memory_bytes")
    if row["unit"] == "images/s":
        values = [report.digits(row["batch"] / medians[side]) for side in ("before", "fcmae")]
    elif row["unit"] == "ms":
        values = [f"{1000 * medians[side]:,.0f}" for side in ("before", "fcmae")]
    else:
        values = [f"{medians[side]:,.0f}" for side in ("before", "fcmae")]
    memory = ["", "", ""]
    if "memory_ratio" in found:
        memory = [f"{peaks[side] / 2**20:,.0f}" for side in ("before", "fcmae")]
        memory.append(f"{found['memory_ratio']:.3f}")
    span = f"{found['low']:.3f} to {found['high']:.3f}"
    verdict = "**SLOWER**" if found["slower"] else ""
    rounds = str(len(found["ratios"]))
    return [row["label"], row["unit"], *values, f"{found['ratio']:.3f}", span, rounds, *memory, verdict]
