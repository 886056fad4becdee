"""The parts of a visit that need Python. Its own library is enough; PyTorch, where it is, is the opponent.

README.md says what is measured; `run` calls this.
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import platform
import shutil
import signal
import site
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "benches" / "compare"))
from worker import Failed, Worker

FCMAE = Path(os.environ.get("FCMAE", ROOT / "target" / "release" / "fcmae"))
OUT = Path(os.environ.get("OUT", HERE))
MOST_BYTES = 60 * 2**20
# Of the whole time, what PyTorch may take to compile, and seconds kept for what comes after the rows.
COMPILING = 0.5
END_TO_END, CLOSING = 80.0, 8.0
# Seconds for a process to end when it is told to.
PATIENCE = 3.0
FEWEST_STEPS, MOST_STEPS = 3, 200
# Two rounds tell a little about chance; one tells nothing.
FEWEST_ROUNDS = 2
EPOCHS, UPDATES = 3, 80
# Seconds after which as many pictures as were drawn are enough.
DRAWING = 60.0


@dataclass(frozen=True)
class Row:
    """One network and kind of work, on both sides."""

    work: str
    size: str
    batch: int
    # Where PyTorch has its channels.
    layout: str
    image: int = 224

    @property
    def name(self) -> str:
        return f"{self.work} {self.size}"

    def options(self) -> list:
        """For the workers of both sides."""
        return ["--size", self.size, "--batch", self.batch, "--image", self.image]


# The most telling first: what there is no time for is left out from the end.
ROWS = (
    Row("pretrain", "tiny", 256, "last"),
    Row("pretrain", "atto", 256, "last"),
    Row("finetune", "tiny", 128, "first"),
    Row("predict", "tiny", 256, "first"),
    Row("finetune", "atto", 128, "first"),
    Row("predict", "atto", 256, "first"),
)


class Overrun(Exception):
    """The budget is spent."""


def overrun(*_):
    raise Overrun


class Limited(Worker):
    """A worker that is ended where it hasn't answered `until` then, by the monotonic clock."""

    until = float("inf")

    def ask(self, line: str) -> dict:
        if self.until == float("inf"):
            return super().ask(line)
        late = threading.Event()

        def end():
            late.set()
            self.process.kill()

        timer = threading.Timer(max(0.0, self.until - time.monotonic()), end)
        timer.start()
        try:
            return super().ask(line)
        except Failed as failure:
            raise Failed(f"{self.name}: no answer in time") if late.is_set() else failure
        finally:
            timer.cancel()

    def close(self) -> None:
        # One that is busy, compiling perhaps, would not see that its input ended.
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        try:
            super().close()
        finally:
            timer.cancel()


class Visit:
    """The part `time`: everything within its budget."""

    def __init__(self, args):
        self.args = args
        self.began = time.monotonic()
        self.end = self.began + args.budget
        self.device = "cpu" if args.cpu else "cuda"
        self.rows = [
            self.fitted(row) for row in ROWS if not args.only or {row.work, row.name} & set(args.only)
        ]
        if not self.rows:
            raise SystemExit(f"--only: the rows are {', '.join(row.name for row in ROWS)}")
        self.stack = contextlib.ExitStack()
        self.results = read_results(self.device)
        self.results.update(about(self.device, args.budget))
        for name in ("left_out", "rows", "rates"):
            self.results[name] = []
        for name in ("load", "end_to_end", "torch", "failed"):
            self.results.pop(name, None)

    def fitted(self, row: Row) -> Row:
        """The row as it is asked for: tiny on a processor, smaller batches on a smaller card."""
        if self.args.cpu:
            return Row(row.work, row.size, 4, row.layout, 64)
        return Row(row.work, row.size, max(1, round(row.batch * self.args.scale)), row.layout, row.image)

    def left(self) -> float:
        """Seconds for rows: what comes after them is kept back."""
        reserve = CLOSING + (END_TO_END if not self.args.cpu else 0.1 * self.args.budget)
        return self.end - reserve - time.monotonic()

    def leave_out(self, what: str, why: str) -> None:
        say(f"LEFT OUT: {what}: {why}")
        self.results["left_out"].append({"what": what, "why": why})

    def save(self) -> None:
        self.results["seconds"] = time.monotonic() - self.began
        report.write_results(OUT / "results.json", self.results)

    def run(self) -> None:
        with self.stack, tempfile.TemporaryDirectory(prefix="fcmae-gpu-") as folder:
            folder = Path(folder)
            card = self.opponent_card()
            opponents = self.compile() if card else {}
            pictures, drawn = self.pictures(folder)
            self.save()
            self.rates(card, "before")
            for number, row in enumerate(self.rows):
                allowance = self.left() / (len(self.rows) - number)
                try:
                    self.row(row, opponents.pop(row.name, None), time.monotonic() + allowance)
                except (Failed, OSError, ValueError) as failure:
                    self.leave_out(row.name, str(failure))
                self.save()
            self.rates(card, "after")
            self.save()
            if pictures:
                self.load(drawn)
                self.end_to_end(pictures, folder)
        self.save()

    # PyTorch.

    def torch(self, *words) -> list:
        eager = ["--eager"] if self.args.no_compile else []
        return [sys.executable, HERE / "opponents.py", *words, "--device", self.device, *eager]

    def opponent_card(self) -> Limited | None:
        """PyTorch with no work: what it is, what the card itself can do. None where it can't be used."""
        worker = self.stack.enter_context(Limited("PyTorch", self.torch()))
        worker.until = time.monotonic() + min(60.0, self.left())
        try:
            facts = worker.ask("facts")
        except Failed as failure:
            facts = {"usable": False, "reason": str(failure)}
        if not facts["usable"]:
            facts.setdefault("reason", "it sees no card")
            self.leave_out("everything of PyTorch", facts["reason"])
        self.results["torch"] = facts
        return worker if facts["usable"] else None

    def compile(self) -> dict:
        """A worker of each row that has made its first steps; all compile at once, before anything is timed.

        Between turns they hold nothing of the card but weights, so that all fit beside each other."""
        threads = max(1, (os.cpu_count() or 1) // len(self.rows))
        environment = {
            "TORCHINDUCTOR_COMPILE_THREADS": str(threads),
            "TORCHINDUCTOR_CACHE_DIR": str(HERE / ".cache" / "inductor"),
        }
        until = min(time.monotonic() + COMPILING * self.args.budget, self.end - CLOSING)
        ready, failed = {}, {}

        def prepare(row: Row, worker: Limited):
            try:
                ready[row.name] = worker, worker.ask("prepare")
            except Failed as failure:
                failed[row.name] = str(failure)

        def start(row: Row) -> threading.Thread:
            command = self.torch(row.work, *row.options(), "--layout", row.layout)
            worker = self.stack.enter_context(Limited("its process", command, environment))
            worker.until = until
            thread = threading.Thread(target=prepare, args=(row, worker))
            thread.start()
            return thread

        say(f"PyTorch prepares its networks, {len(self.rows)} at once")
        for thread in [start(row) for row in self.rows]:
            thread.join()
        for row in self.rows:
            # All at once may need more memory than there is; one by one, no more than it must.
            if "out of memory" in failed.get(row.name, "").lower() and time.monotonic() < until:
                failed.pop(row.name)
                start(row).join()
        for name, why in failed.items():
            self.leave_out(f"PyTorch in {name}", why)
        for name, (_, answer) in ready.items():
            say(f"  {name}: {answer['network']}, {answer['seconds']:.0f} s")
        return ready

    def rates(self, card: Limited | None, when: str) -> None:
        """The card's own copy and product."""
        if not card:
            return
        card.until = time.monotonic() + max(1.0, min(30.0, self.end - time.monotonic() - CLOSING))
        try:
            found = {"when": when, **card.ask("rates")}
        except Failed as failure:
            self.leave_out(f"the card's own rates {when} the rows", str(failure))
            return
        self.results["rates"].append(found)
        copy, product = (statistics.median(found[name]) for name in ("copy_gb_per_second", "product_tflops"))
        say(
            f"the card {when} the rows: copies {copy:,.0f} GB/s, products {report.compare.digits(product)} TFLOP/s"
        )

    # Rows.

    def row(self, row: Row, prepared: tuple | None, until: float) -> None:
        """Rounds of both sides in turn, every other round in the opposite order."""
        if until - time.monotonic() < 2.0:
            self.leave_out(row.name, "no time was left")
            return
        command = [FCMAE, "bench", "--worker", "--work", row.work, "--device", self.device, *row.options()]
        with contextlib.ExitStack() as stack:
            sides = {"fcmae": stack.enter_context(Limited("fcmae", [*command, *self.precision("bench")]))}
            if prepared:
                sides["PyTorch"] = stack.enter_context(contextlib.closing(prepared[0]))
            counts = {}
            for name, side in list(sides.items()):
                side.until = until + 5.0
                try:
                    counts[name] = self.warmed(side)
                except Failed as failure:
                    if name == "fcmae":
                        raise
                    # What fcmae does alone is worth having.
                    self.leave_out(f"PyTorch in {row.name}", str(failure))
                    sides.pop(name)
            rounds = self.rounds(row, sides, counts, until)
            found = {
                **{"work": row.work, "size": row.size, "batch": row.batch, "image": row.image},
                **{"layout": row.layout, "compiled": not self.args.no_compile, "rounds": rounds},
                "answers": {name: without(side.last, "seconds") for name, side in sides.items()},
            }
            if "PyTorch" in sides:
                found["opponent"] = {**prepared[1], "layout": row.layout}
        self.results["rows"].append(found)
        say(report.told(found))

    def rounds(self, row: Row, sides: dict, counts: dict, until: float) -> list:
        """As many as there is time for; a side that fails ends them."""
        rounds, longest, why = [], 0.0, "no time was left"
        while len(rounds) < self.args.rounds:
            began = time.monotonic()
            if len(rounds) >= FEWEST_ROUNDS and began + longest > until:
                break
            order = list(sides) if len(rounds) % 2 == 0 else list(reversed(sides))
            seconds = {}
            try:
                for name in order:
                    seconds[name] = sides[name].steps(counts[name])
            except Failed as failure:
                if not rounds:
                    raise
                why = str(failure)
                break
            rounds.append({"order": order, "seconds": seconds})
            longest = max(longest, time.monotonic() - began)
        if len(rounds) < self.args.rounds:
            self.leave_out(f"{self.args.rounds - len(rounds)} rounds of {row.name}", why)
        return rounds

    def warmed(self, side: Limited) -> int:
        """Makes the side's first steps; how many steps are a turn."""
        side.steps(2)
        step = statistics.median(side.steps(FEWEST_STEPS))
        return max(FEWEST_STEPS, min(MOST_STEPS, round(self.args.turn / max(step, 1e-6))))

    def precision(self, command: str) -> list:
        """bfloat16, where the program has a choice."""
        told = subprocess.run([str(FCMAE), command, "--help"], capture_output=True, text=True).stdout
        return ["--precision", "bf16"] if "--precision" in told and not self.args.cpu else []

    # Pictures.

    def pictures(self, folder: Path) -> tuple:
        """What is trained on from end to end, and a folder of it or None."""
        if self.args.data:
            return self.args.data, None
        threads = os.cpu_count() or 1
        since = time.monotonic()
        drawn = draw(folder, min(threads, 8))
        count = len(list(drawn.iterdir()))
        if count == 0:
            self.leave_out("loading and pre-training from end to end", "no pictures could be drawn")
            return None, None
        many = folder / "many"
        many.mkdir()
        sources = sorted(drawn.iterdir())
        names = (20 if self.args.cpu else UPDATES) * self.trained().batch
        for number in range(names):
            os.link(sources[number % count], many / f"{number:06}.jpg")
        say(f"{count} pictures drawn in {time.monotonic() - since:.0f} s, under {names} names")
        self.results["pictures"] = {"drawn": count, "names": names}
        return many, many

    def trained(self) -> Row:
        return next((row for row in self.rows if row.name == "pretrain tiny"), self.fitted(ROWS[0]))

    def load(self, drawn: Path | None) -> None:
        """How many pictures a second the processor can hand over at most."""
        if not drawn or self.end - time.monotonic() < 20.0:
            self.leave_out("loading alone", "no time was left" if drawn else "it wants a folder, not a file")
            return
        image = self.rows[0].image
        command = [FCMAE, "bench", "--work", "load", "--data", drawn, "--image", image, "--device", "cpu"]
        command += ["--warmup", 1, "--steps", 3, "--json", "-"]
        try:
            ended = subprocess.run(
                [str(word) for word in command], capture_output=True, text=True, timeout=15.0
            )
            self.results["load"] = json.loads(ended.stdout)["results"][0]
        except subprocess.TimeoutExpired:
            self.leave_out("loading alone", "it took more than 15 s")
            return
        except (ValueError, LookupError):
            self.leave_out("loading alone", last_line(ended.stderr))
            return
        say(f"loading alone: {self.results['load']['images_per_second']:,.0f} images/s")

    def end_to_end(self, pictures: Path, folder: Path) -> None:
        """A pre-training from files; `data_wait` of its metrics, from the second epoch on."""
        time_left = self.end - time.monotonic() - CLOSING
        if time_left < 10.0:
            self.leave_out("pre-training from end to end", "no time was left")
            return
        row, run = self.trained(), folder / "run"
        settings = [
            *(f"model.size={row.size}", f"optim.batch={row.batch}", f"optim.epochs={EPOCHS}"),
            *("optim.warmup_epochs=1", f"data.image_size=[{row.image},{row.image}]"),
            # As with a set that is larger than memory: every picture is decoded in every epoch.
            "data.cache_mib=0",
        ]
        defaults = subprocess.run(
            [str(FCMAE), "pretrain", "--data", "-", "--out", "-", "--print-config"],
            capture_output=True,
            text=True,
        )
        if "\nprecision" in defaults.stdout and not self.args.cpu:
            settings.append("precision=bf16")
        command = [FCMAE, "pretrain", "--data", pictures, "--out", run, "--device", self.device]
        command += [word for setting in settings for word in ("--set", setting)]
        since = time.monotonic()
        cut = False
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            process = subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            try:
                process.wait(time_left)
            except subprocess.TimeoutExpired:
                cut = True
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            words = log.read()
        file = run / "metrics.jsonl"
        lines = []
        for line in file.read_text().splitlines() if file.exists() else []:
            # The last line of a run that was ended may be half a line.
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        steps = [line for line in lines if "data_wait" in line]
        found = {
            **{"size": row.size, "batch": row.batch, "image": row.image, "settings": settings},
            **{"seconds": time.monotonic() - since, "cut": cut, "exit": process.returncode},
            **{name: [line[name] for line in steps] for name in report.STEP},
        }
        self.results["end_to_end"] = found
        if not steps or (process.returncode != 0 and not cut):
            found["failed"] = last_line(words)
        wait = report.waiting(found)
        if wait is None:
            self.leave_out("data_wait", found.get("failed", "the second epoch was not reached in time"))
        else:
            say(
                f"from end to end: {100 * wait['share']:.1f} % of the time from the second epoch on is "
                "waiting"
            )


def draw(folder: Path, threads: int) -> Path:
    """The pictures that `fcmae bench` draws for itself, 32 a thread. It removes them at its end, so each gets
    a second name as soon as it is there."""
    temporary, kept = folder / "drawing", folder / "drawn"
    temporary.mkdir()
    kept.mkdir()
    command = [FCMAE, "bench", "--work", "load", "--image", 64, "--device", "cpu", "--threads", threads]
    process = subprocess.Popen(
        [str(word) for word in [*command, "--warmup", 1, "--steps", 2, "--json", "-"]],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + DRAWING
    while True:
        if time.monotonic() > until:
            process.kill()
        ended = process.poll() is not None
        for source in temporary.glob("*/*.jpg"):
            # Removed meanwhile, or linked already.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(source, kept / source.name)
        if ended:
            return kept
        time.sleep(0.02)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it ended without a word"


def without(answer: dict, name: str) -> dict:
    return {key: value for key, value in answer.items() if key != name}


# What the numbers are of.


def about(device: str, budget: float) -> dict:
    program = FCMAE.read_bytes()
    version = subprocess.run([str(FCMAE), "--version"], capture_output=True, text=True).stdout.split()
    return {
        **{"device": device, "date": datetime.date.today().isoformat(), "commit": commit()},
        "fcmae": {
            "version": version[-1] if version else "unknown",
            **{"sha256": hashlib.sha256(program).hexdigest()[:16], "bytes": len(program)},
        },
        **{"card": card() if device == "cuda" else None, "machine": machine(), "budget_seconds": budget},
    }


def card() -> dict | None:
    """What nvidia-smi says of the first card; nothing of it is changed."""
    names = ("name", "driver_version", "memory.total", "clocks.max.sm", "clocks.max.mem", "power.limit")
    try:
        found = subprocess.run(
            ["nvidia-smi", "--id=0", f"--query-gpu={','.join(names)}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    values = [value.strip() for value in found.stdout.strip().split(",")]
    return dict(zip(names, values)) if found.returncode == 0 and len(values) == len(names) else None


def machine() -> dict:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        **{"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count()},
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": f"{platform.system()} {platform.machine()}",
    }


def commit() -> str | None:
    """What fcmae was built from: COMMIT, or as far as git knows."""
    if os.environ.get("COMMIT"):
        return os.environ["COMMIT"]
    try:
        found = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--", "crates", "Cargo.lock")
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.strip() + ("-dirty" if changed.strip() else "")


def git(*words) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# The other parts.


def libraries() -> None:
    """Prints the folders of NVRTC and cuBLASLt, or nothing where the system finds its own."""
    with contextlib.suppress(OSError):
        known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
        if all(name in known for name in ("libnvrtc.so.1", "libcublasLt.so.1")):
            return
    packages = {sysconfig.get_path("purelib"), *site.getsitepackages(), site.getusersitepackages()}
    folders = [
        folder for each in sorted(packages) for folder in sorted((Path(each) / "nvidia").glob("*/lib"))
    ]
    folders += [Path("/usr/local/cuda/lib64"), *sorted(Path("/usr/local").glob("cuda-*/lib64"), reverse=True)]
    found = {}
    for name in ("libnvrtc.so.1*", "libcublasLt.so.1*"):
        there = [folder for folder in folders if any(folder.glob(name))]
        if not there:
            return
        found[there[0]] = None
    print(os.pathsep.join(map(str, found)))


def checked(args) -> None:
    """Takes the check's outcome into the results."""
    results = read_results(args.device)
    found = {"exit": args.status, "seconds": args.seconds, **about(args.device, 180)}
    with contextlib.suppress(OSError, ValueError):
        found["doctor"] = json.loads((OUT / "check.json").read_text())
    results["check"] = found
    results.setdefault("device", args.device)
    report.write_results(OUT / "results.json", results)
    outcome = "passed" if args.status == 0 else f"FAILED with code {args.status}"
    say(f"the check {outcome} after {args.seconds} s")


def read_results(device: str) -> dict:
    """Those of this device so far."""
    found = report.read(OUT / "results.json")
    return found if found.get("device") == device else {}


def ready(args) -> None:
    """Before a visit: whether what has to be carried is small, and the program such that it starts there."""
    files = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    paths = {(ROOT / name).resolve() for name in files if name}
    if args.data:
        paths.add(args.data.resolve())
    sizes = {"repository and data": sum(path.stat().st_size for path in paths if path.is_file())}
    if FCMAE.resolve() not in paths:
        sizes["program"] = FCMAE.stat().st_size
    faults = []
    for name, size in sizes.items():
        print(f"{name}: {size / 2**20:.1f} MiB")
    if sum(sizes.values()) > MOST_BYTES:
        faults.append(f"together {sum(sizes.values()) / 2**20:.1f} MiB, more than {MOST_BYTES / 2**20:.0f}")
    if has_symbols(FCMAE):
        faults.append(f"{FCMAE} is not stripped: strip {FCMAE}")
    if shutil.which("readelf"):
        told = subprocess.run(["readelf", "--version-info", FCMAE], capture_output=True, text=True).stdout
        needed = {
            tuple(map(int, word[6:].split(".")))
            for word in told.split()
            if word.startswith("GLIBC_2.") and word[6:].replace(".", "").isdigit()
        }
        if needed:
            print(f"the program needs glibc {'.'.join(map(str, max(needed)))} there, or later")
    for fault in faults:
        print(f"NOT READY: {fault}")
    if faults:
        raise SystemExit(1)
    print("ready")


def has_symbols(program: Path) -> bool:
    """Whether an ELF file of 64 bits has a table of symbols."""
    data = program.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise SystemExit(f"{program} is no program for 64-bit Linux")
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    symbols = 2
    return any(struct.unpack_from("<I", data, start + size * i + 4)[0] == symbols for i in range(count))


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], prog="run", formatter_class=argparse.RawTextHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("libraries")
    check = parts.add_parser("checked")
    check.add_argument("--device", required=True)
    check.add_argument("--status", type=int, required=True)
    check.add_argument("--seconds", type=float, required=True)
    before = parts.add_parser("ready", help="before a visit: is all small enough?")
    before.add_argument("--data", type=Path, help="pictures that will be carried along")
    timed = parts.add_parser("time", help="how fast, beside PyTorch")
    timed.add_argument("--data", type=Path, help="pictures to train on (.tar or folder); else some are drawn")
    timed.add_argument("--cpu", action="store_true", help="try everything on the processor, with tiny images")
    timed.add_argument("--budget", type=float, default=420.0, help="seconds for everything (420)")
    timed.add_argument("--rounds", type=int, default=5, help="rounds of each row (5)")
    timed.add_argument("--turn", type=float, help="seconds of one side's turn, about (0.7)")
    timed.add_argument("--scale", type=float, default=1.0, help="batches times this, for a smaller card (1)")
    timed.add_argument(
        "--only", type=lambda text: text.split(","), help="rows, as in predict,'pretrain atto'"
    )
    timed.add_argument("--no-compile", action="store_true", help="PyTorch without torch.compile")
    args = parser.parse_args()
    if args.part == "libraries":
        libraries()
    elif args.part == "checked":
        checked(args)
    elif args.part == "ready":
        ready(args)
    else:
        if args.data and not args.data.exists():
            parser.error(f"--data {args.data} is missing")
        if args.rounds < FEWEST_ROUNDS:
            parser.error(f"--rounds must be at least {FEWEST_ROUNDS}")
        args.turn = args.turn or (0.2 if args.cpu else 0.7)
        visit = Visit(args)
        # Should all other limits fail, this one does not.
        signal.signal(signal.SIGALRM, overrun)
        signal.setitimer(signal.ITIMER_REAL, args.budget)
        try:
            visit.run()
        except Overrun:
            visit.leave_out("all that is missing", f"the {args.budget:.0f} s were over")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            # What was measured until now is worth keeping, whatever went wrong.
            visit.save()
        report.write_page(visit.results, OUT / "performance-gpu.md")
        print(report.text(visit.results))
        say(f"{visit.results['seconds']:.0f} s of {args.budget:.0f}; written: {OUT / 'results.json'}")


if __name__ == "__main__":
    main()
