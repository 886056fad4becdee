"""How much of the processor somebody else takes, which would favour one side.

Threads that wait for each other by spinning, as PyTorch's do, lose far more to a third process than
threads that sleep. A turn in which somebody else was busy is therefore measured again.
"""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Share of the threads' time that others may take.
ALLOWED = 0.05
# Below this, the clock of the system's counters decides.
NEGLIGIBLE_SECONDS = 0.05


def machine_seconds() -> float:
    """Processor time of everybody, and of other machines on this one's processors, so far."""
    user, nice, system, _, _, interrupt, soft, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + interrupt + soft + steal) / TICKS


def tree_seconds(root: int) -> float:
    """Processor time of a process and all below it, those that ended included."""
    children, seconds = {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        seconds[int(folder.name)] = sum(map(int, fields[11:15])) / TICKS
    total, left = 0.0, [root]
    while left:
        process = left.pop()
        total += seconds.get(process, 0.0)
        left += children.get(process, [])
    return total


class Watch:
    """From its making on: what others took, and what this program's idle processes took."""

    def __init__(self, active: int, threads: int):
        self.active, self.threads = active, threads
        self.began = self._read()

    def _read(self) -> tuple:
        elapsed = os.times().elapsed
        return elapsed, machine_seconds(), tree_seconds(os.getpid()), tree_seconds(self.active)

    def shares(self) -> tuple[float, float]:
        """Shares of the threads' time: of others, and of this program beside the active process."""
        elapsed, machine, ours, active = (now - then for now, then in zip(self._read(), self.began))
        whole = max(elapsed, 1e-9) * self.threads
        foreign = machine - ours if machine - ours > NEGLIGIBLE_SECONDS else 0.0
        return foreign / whole, max(0.0, ours - active) / whole
