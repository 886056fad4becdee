"""Measures fcmae beside PyTorch, ONNX Runtime, OpenVINO and Pillow, in turn, and writes what came out.

    bash benches/compare/run                             # all, an hour or two
    bash benches/compare/run --only inference,finetune   # these groups alone; the others' numbers stay
    bash benches/compare/run --quick                     # see in minutes that everything works
    bash benches/compare/run --before PROGRAM            # an earlier fcmae as one more side

README.md says how it is measured and what is written.
"""

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import before
import pictures
import report
from quiet import ALLOWED, Watch
from worker import Failed, Worker

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GROUPS = ("matrix", "pretrain", "finetune", "inference", "growth", "load", "start")
# Variants this much slower in the trial than the fastest are out; at most so many go into the rounds.
CONTENDER = 1.15
CONTENDERS = 2
# Steps of one turn: by time, within these bounds.
FEWEST_STEPS, MOST_STEPS = 2, 20
STARTS = 10
# A turn that somebody else disturbed is made again, so many times in all.
ATTEMPTS = 4


@dataclass(frozen=True)
class Row:
    """What is measured: one network, or pictures to load, on both sides."""

    group: str
    work: str
    size: str = "atto"
    batch: int = 16
    image: int = 224
    mask_ratio: float = 0.6

    @property
    def name(self) -> str:
        return f"{self.group} {self.size} {self.batch}" if self.work != "load" else self.group

    @property
    def label(self) -> str:
        """For people."""
        if self.group == "matrix":
            return "product of two 1024 × 1024 matrices"
        if self.work == "load":
            return f"loading, {self.image}²"
        hidden = f", {100 * self.mask_ratio:.0f} % hidden" if self.group == "growth" else ""
        return f"{report.WORK[self.work]}, {self.size}, batch {self.batch}, {self.image}²{hidden}"

    def options(self, threads: int) -> list:
        """For the workers of both sides."""
        return [
            *("--size", self.size, "--batch", self.batch, "--image", self.image),
            *("--mask-ratio", self.mask_ratio, "--threads", threads),
        ]


ROWS = (
    Row("pretrain", "pretrain", "atto", 32),
    Row("pretrain", "pretrain", "tiny", 16),
    Row("finetune", "finetune", "atto", 32),
    Row("finetune", "finetune", "tiny", 16),
    Row("inference", "predict", "atto", 16),
    Row("inference", "predict", "atto", 1),
    Row("inference", "predict", "tiny", 16),
    Row("inference", "predict", "tiny", 1),
)


def variants(row: Row):
    """Rounds of variants to try, each as (name, words for opponents.py), given the best so far."""
    layouts = (("channels first", "first"), ("channels last", "last"))
    if row.work == "load":
        yield [("Pillow + torchvision, threads", "threads"), ("Pillow + torchvision, processes", "processes")]
    elif row.work == "predict":
        torch = [
            (f"PyTorch {mode}, {layout}", f"{mode},{word}")
            for mode in ("eager", "compile")
            for layout, word in layouts
        ]
        others = [("ONNX Runtime", "onnxruntime"), ("OpenVINO, latency hint", "openvino,latency")]
        yield [*torch, *others, ("OpenVINO", "openvino")]
    else:
        best = yield [
            (f"PyTorch eager, {layout}, {kind} AdamW", f"eager,{word},{kind}")
            for layout, word in layouts
            for kind in ("foreach", "fused")
        ]
        kind = best.split(",")[-1]
        yield [
            (f"PyTorch compile, {layout}, {kind} AdamW", f"compile,{word},{kind}") for layout, word in layouts
        ]


class Comparison:
    """One run of this program."""

    def __init__(self, args, folder: Path):
        self.args = args
        self.folder = folder
        self.threads = args.threads
        self.fcmae = args.fcmae
        self.rounds = 2 if args.quick and args.rounds is None else args.rounds or 5
        # Seconds that a side's turn takes, about.
        self.turn = 0.2 if args.quick else args.turn
        self.results = report.read(args.results)
        self.results.setdefault("rows", {})
        if args.before:
            self.paired = report.read(args.paired)
            programs = {"before": before.program(args.before), "fcmae": before.program(args.fcmae)}
            # Rows of two other programs say nothing about these.
            if self.paired.get("programs") != programs:
                self.paired = {"programs": programs, "rows": {}}
        self.environment = {
            # No pool of compiling processes stays behind, and nothing is compiled twice.
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(args.cache / "inductor"),
        }

    # Workers.

    def ours(self, row: Row, data: Path | None = None, program: Path | None = None) -> Worker:
        extra = ["--data", data] if data else []
        command = [program or self.fcmae, "bench", "--worker", "--work", row.work]
        command += [*row.options(self.threads), *extra]
        return Worker("before" if program else "fcmae", command)

    def earlier(self, stack, name: str, row: Row, data: Path | None = None) -> tuple[Worker, int] | None:
        """The earlier program's worker and the steps of its turn, where it is asked for and can do the row."""
        if not self.args.before:
            return None
        worker = stack.enter_context(self.ours(row, data, self.args.before))
        try:
            return worker, self.warmed(worker)
        except Failed as failure:
            say(f"{name}: {failure}")
            self.keep_pair(name, {"label": row.label, "failed": str(failure)})
            return None

    def theirs(self, row: Row, name: str, words: str, data: Path | None = None) -> Worker:
        extra = ["--data", data] if data else []
        if words.startswith(("onnx", "openvino")):
            extra += ["--onnx", self.exported(row)]
        command = [sys.executable, HERE / "opponents.py", row.work, words, *row.options(self.threads), *extra]
        return Worker(name, command, self.environment)

    def exported(self, row: Row) -> Path:
        """timm's network as an ONNX file."""
        path = self.folder / f"{row.size}-{row.batch}-{row.image}.onnx"
        if not path.exists():
            command = [sys.executable, HERE / "opponents.py", "export", "onnx", *row.options(self.threads)]
            command += ["--onnx", path]
            subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL)
        return path

    def warmed(self, worker: Worker) -> int:
        """Makes the worker's first steps; how many steps are a turn."""
        worker.steps(1)
        second = worker.steps(1)[0]
        return max(FEWEST_STEPS, min(MOST_STEPS, round(self.turn / second)))

    def quietly(self, worker: Worker, action) -> tuple:
        """What `action` gives, made anew where somebody else was busy; shares as in Watch."""
        attempts = 1 if self.args.quick else ATTEMPTS
        while True:
            watch = Watch(worker.process.pid, self.threads)
            result = action()
            foreign, idle = watch.shares()
            attempts -= 1
            if foreign <= ALLOWED or attempts == 0:
                return result, foreign, idle
            say(f"  somebody else took {100 * foreign:.0f} % of the time; again")
            time.sleep(2.0)

    # Measurements.

    def trial(self, row: Row, data: Path | None = None) -> dict:
        """Every variant by itself for one turn: its median seconds and memory, or why there are none."""
        tried = {}
        rounds = variants(row)
        batch = next(rounds)
        while batch:
            if self.args.no_compile:
                batch = [(name, words) for name, words in batch if not words.startswith("compile")]
            for name, words in batch:
                try:
                    with self.theirs(row, name, words, data) as worker:
                        count = self.warmed(worker)
                        seconds, foreign, _ = self.quietly(worker, partial(worker.steps, count))
                        seconds = statistics.median(seconds)
                        peak = worker.last["peak_memory_bytes"]
                    tried[name] = {"words": words, "seconds": seconds, "peak_memory_bytes": peak}
                    tried[name]["foreign_share"] = foreign
                    say(f"  {name}: {row_rate(worker, seconds):.1f} images/s")
                except (Failed, subprocess.CalledProcessError) as failure:
                    tried[name] = {"words": words, "failed": str(failure)}
                    say(f"  {name}: {failure}")
            working = {name: found for name, found in tried.items() if "seconds" in found}
            if not working:
                raise SystemExit(
                    f"{row.name}: no variant works; is the environment whole? (requirements.txt)"
                )
            best = min(working.values(), key=lambda found: found["seconds"])
            try:
                batch = rounds.send(best["words"])
            except StopIteration:
                batch = None
        return tried

    def contest(self, row: Row, data: Path | None = None) -> dict:
        """Trial of all variants, then rounds of the fastest, fcmae and the earlier fcmae."""
        tried = {}
        if not self.args.only_before:
            say(f"{row.name}: trial")
            tried = self.trial(row, data)
        ranked = sorted((found["seconds"], name) for name, found in tried.items() if "seconds" in found)
        contenders = [name for seconds, name in ranked if seconds <= CONTENDER * ranked[0][0]][:CONTENDERS]
        against = [*contenders, *(["the earlier program"] if self.args.before else [])]
        say(f"{row.name}: {self.rounds} rounds against {' and '.join(against)}")
        has_network = row.work != "load"
        rounds = []
        with contextlib.ExitStack() as stack:
            workers = {
                name: stack.enter_context(self.theirs(row, name, tried[name]["words"], data))
                for name in contenders
            }
            workers["fcmae"] = stack.enter_context(self.ours(row, data))
            counts = {name: self.warmed(worker) for name, worker in workers.items()}
            if earlier := self.earlier(stack, row.name, row, data):
                workers["before"], counts["before"] = earlier
            for number in range(self.rounds):
                found = {"seconds": {}, "foreign_share": 0.0, "idle_share": 0.0}
                for name in in_turn(workers, number):
                    # The earlier program likewise, so that neither comes to its steps better warmed.
                    worker, rated = workers[name], name in ("fcmae", "before") and has_network
                    turn = partial(self.take_turn, worker, counts[name], rated)
                    (seconds, rate), foreign, idle = self.quietly(worker, turn)
                    found["seconds"][name] = seconds
                    if rated and name == "fcmae":
                        found["matrix_gflops"] = rate
                    found["foreign_share"] = max(found["foreign_share"], foreign)
                    found["idle_share"] = max(found["idle_share"], idle)
                rounds.append(found)
            last = {name: worker.last for name, worker in workers.items()}
        if "before" in workers:
            self.pair(row.name, row, rounds, last)
            last.pop("before")
            for found in rounds:
                found["seconds"].pop("before")
        if self.args.only_before:
            return {}
        result = {
            **{"group": row.group, "work": row.work, "size": row.size if has_network else None},
            **{"batch": last["fcmae"]["images"], "image": row.image, "threads": self.threads},
            **{"gflop_per_image": last["fcmae"].get("gflop_per_image"), "trial": tried, "rounds": rounds},
            "peak_memory_bytes": {name: answer["peak_memory_bytes"] for name, answer in last.items()},
        }
        result["summary"] = summary(result)
        found = result["summary"]
        say(
            f"{row.name}: {found['opponent']} {found['opponent_images_per_second']:.1f} images/s, "
            f"fcmae {found['images_per_second']:.1f}, ratio {found['ratio']:.2f}"
        )
        return result

    def take_turn(self, worker: Worker, count: int, rated: bool) -> tuple:
        """Seconds of the steps and, where `rated`, the machine's own rate around them."""
        before = worker.matrix() if rated else None
        seconds = worker.steps(count)
        return seconds, (before + worker.matrix()) / 2.0 if rated else None

    def rows(self, group: str) -> None:
        for row in ROWS:
            if row.group == group:
                if self.args.quick:
                    row = Row(row.group, row.work, row.size, min(2, row.batch), 64)
                self.keep(row.name, self.contest(row))

    def pair(self, name: str, row: Row, rounds: list, last: dict) -> None:
        """Keeps what fcmae and the earlier program did in the same rounds."""
        rounds = [
            {
                "seconds": {side: found["seconds"][side] for side in ("before", "fcmae")},
                "foreign_share": found["foreign_share"],
            }
            for found in rounds
        ]
        peaks = {side: last[side]["peak_memory_bytes"] for side in ("before", "fcmae")}
        found = {
            **{"label": row.label, "unit": "images/s", "batch": last["fcmae"]["images"]},
            **{"rounds": rounds, "peak_memory_bytes": peaks, "summary": before.summary(rounds, peaks)},
        }
        self.keep_pair(name, found)

    def matrix(self) -> None:
        """torch.mm and fcmae's own product of 1024 × 1024 matrices."""
        row = Row("matrix", "predict", "atto", 1, 64)
        theirs = [sys.executable, HERE / "opponents.py", "matrix", "mm", *row.options(self.threads)]
        rounds = []
        with contextlib.ExitStack() as stack:
            workers = {}
            if not self.args.only_before:
                workers["torch.mm"] = stack.enter_context(Worker("torch.mm", theirs, self.environment))
            workers["fcmae"] = stack.enter_context(self.ours(row))
            if earlier := self.earlier(stack, "matrix", row):
                workers["before"] = earlier[0]
            for worker in workers.values():
                worker.matrix()
            for number in range(3 * self.rounds):
                rounds.append({name: workers[name].matrix() for name in in_turn(workers, number)})
        if "before" in workers:
            pairs = [{"gflops": {side: found[side] for side in ("before", "fcmae")}} for found in rounds]
            found = {"label": row.label, "unit": "GFLOP/s", "rounds": pairs}
            self.keep_pair("matrix", {**found, "summary": before.summary(pairs, None)})
            for each in rounds:
                each.pop("before")
        if self.args.only_before:
            return
        medians = {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}
        ratio = statistics.median(found["fcmae"] / found["torch.mm"] for found in rounds)
        say(f"matrix: torch.mm {medians['torch.mm']:.0f} GFLOP/s, fcmae {medians['fcmae']:.0f}")
        self.keep(
            "matrix",
            {
                **{"group": "matrix", "threads": self.threads, "rounds": rounds},
                "summary": {"gflops": medians, "ratio": ratio},
            },
        )

    def growth(self) -> None:
        """fcmae's pre-training step against visible patches, and against pixels."""
        batch = 2 if self.args.quick else 16
        shares = [0.9, 0.6, 0.3] if self.args.quick else [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.02]
        sides = [96, 128, 160] if self.args.quick else list(range(96, 385, 32))
        image = 160 if self.args.quick else 224
        for name, rows in (
            ("visible", [Row("growth", "pretrain", "atto", batch, image, ratio) for ratio in shares]),
            ("pixels", [Row("growth", "pretrain", "atto", batch, side) for side in sides]),
        ):
            say(f"growth {name}: {len(rows)} points")
            self.keep(f"growth {name}", self.curve(name, rows))

    def curve(self, name: str, rows: list) -> dict:
        """Steps of every point in turn, round after round."""
        titles = [f"growth {name} {row.mask_ratio if name == 'visible' else row.image}" for row in rows]
        with contextlib.ExitStack() as stack:
            workers, counts = {}, {}
            for point, row in enumerate(rows):
                key = point, "fcmae"
                workers[key] = stack.enter_context(self.ours(row))
                counts[key] = self.warmed(workers[key])
                if earlier := self.earlier(stack, titles[point], row):
                    workers[point, "before"], counts[point, "before"] = earlier
            rounds = [[] for _ in rows]
            for number in range(self.rounds):
                for found in rounds:
                    found.append({"seconds": {}, "foreign_share": 0.0})
                for point, side in in_turn(workers, number):
                    # Short turns: many points share what the machine does meanwhile.
                    count = max(FEWEST_STEPS, counts[point, side] // 2)
                    worker, found = workers[point, side], rounds[point][-1]
                    found["seconds"][side], foreign, _ = self.quietly(worker, partial(worker.steps, count))
                    found["foreign_share"] = max(found["foreign_share"], foreign)
            last = [
                {side: worker.last for (at, side), worker in workers.items() if at == point}
                for point in range(len(rows))
            ]
        for point, answers in enumerate(last):
            if "before" in answers:
                self.pair(titles[point], rows[point], rounds[point], answers)
        gflop = [answers["fcmae"]["gflop_per_image"] for answers in last]
        seconds = [sum((found["seconds"]["fcmae"] for found in each), []) for each in rounds]
        points = []
        for row, times, work in zip(rows, seconds, gflop):
            patches = (row.image // 32) ** 2
            visible = int(patches * (1.0 - row.mask_ratio) + 1e-9)
            x = visible / patches if name == "visible" else row.image**2
            point = {"x": x, "image": row.image, "visible": visible, "patches": patches}
            points.append({**point, "gflop_per_image": work, "seconds": times})
        result = {
            **{"group": "growth", "size": "atto", "batch": rows[0].batch, "threads": self.threads},
            "points": points,
        }
        result["summary"] = report.fit(points)
        say(f"growth {name}: at most {result['summary']['worst_percent']:.1f} % off the straight line")
        return result

    def has_pictures(self, group: str) -> bool:
        """Whether there are JPEG files or what draws them, which is said to be missing otherwise."""
        there = self.args.data or all(importlib.util.find_spec(name) for name in ("numpy", "PIL"))
        if not there:
            say(f"{group}: left out: it needs --data, or Python with NumPy and Pillow")
        return bool(there)

    def draw(self, folder: Path, count: int) -> None:
        """Makes a folder of pictures."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.args.data:
            pictures.link(self.args.data, folder, count)
        else:
            pictures.draw(folder, count)

    def load(self) -> None:
        """Decoding and augmenting pictures, all of them in each step."""
        if not self.has_pictures("load"):
            return
        image = 64 if self.args.quick else 224
        count = 32 * max(2, self.threads)
        with tempfile.TemporaryDirectory(dir=self.folder) as data:
            data = Path(data)
            self.draw(data, count)
            self.keep("load", self.contest(Row("load", "load", image=image), data))

    def start(self) -> None:
        """From nothing to a class: a process that reads weights and a picture."""
        if not self.has_pictures("start"):
            return
        weights, picture = self.folder / "atto", self.folder / "picture"
        self.draw(picture, 1)
        image = picture / "0000.jpg"
        commands = {}
        if self.args.only_before:
            self.train(weights)
        else:
            file = self.write_timm(weights)
            script = HERE / "predict_once.py"
            commands["PyTorch + timm"] = [sys.executable, script, image, file, "atto", self.threads]
        programs = {"fcmae": self.fcmae, **({"before": self.args.before} if self.args.before else {})}
        for name, program in programs.items():
            commands[name] = [program, "predict", image, "--weights", weights, "--format", "json"]
        environment = {**os.environ, "RAYON_NUM_THREADS": str(self.threads)}
        seconds, answers = {name: [] for name in commands}, {}
        for number in range((2 if self.args.quick else STARTS) + 1):
            for name in in_turn(commands, number):
                since = time.perf_counter()
                ended = subprocess.run(
                    [str(part) for part in commands[name]], check=True, capture_output=True, env=environment
                )
                seconds[name].append(time.perf_counter() - since)
                answers[name] = ended.stdout
        # Random weights give no class a lead, so the likeliest ones must agree for all to be well.
        classes = {name: json.loads(answers[name])[0]["classes"][0]["class"] for name in programs}
        if "PyTorch + timm" in answers:
            classes["PyTorch + timm"] = answers["PyTorch + timm"].split()[0].decode()
        if len(set(classes.values())) > 1:
            raise SystemExit(f"start: the sides see different classes, {classes}")
        # The first of each reads from the disk.
        seconds = {name: times[1:] for name, times in seconds.items()}
        if self.args.before:
            pairs = [
                {"seconds": {"before": [old], "fcmae": [new]}}
                for old, new in zip(seconds.pop("before"), seconds["fcmae"])
            ]
            found = {"label": "start of a process to a class, atto", "unit": "ms", "rounds": pairs}
            self.keep_pair("start", {**found, "summary": before.summary(pairs, None)})
        if self.args.only_before:
            return
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        say("start: " + ", ".join(f"{name} {median:.2f} s" for name, median in medians.items()))
        found = {"seconds": medians, "ratio": medians["PyTorch + timm"] / medians["fcmae"]}
        self.keep(
            "start",
            {"group": "start", "size": "atto", "threads": self.threads, "seconds": seconds, "summary": found},
        )

    def write_timm(self, weights: Path) -> Path:
        """Weights of timm's atto, drawn by it."""
        weights.mkdir(exist_ok=True)
        file = weights / "model.safetensors"
        make = "import sys, timm, torch; from safetensors.torch import save_file; torch.manual_seed(0);"
        make += "save_file(timm.create_model('convnextv2_atto').state_dict(), sys.argv[1])"
        subprocess.run([sys.executable, "-c", make, str(file)], check=True)
        return file

    def train(self, run: Path) -> None:
        """Weights without timm: by the earlier program, whose runs the current one reads."""
        classes = self.folder / "classes"
        for name in ("first", "second"):
            self.draw(classes / name, 2)
        settings = ("optim.epochs=1", "optim.warmup_epochs=0", "optim.batch=2", "data.image_size=[224,224]")
        command = [self.args.before, "finetune", "--data", classes, "--from", "scratch", "--out", run]
        command += [word for setting in settings for word in ("--set", setting)]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)

    def keep_pair(self, name: str, found: dict) -> None:
        """Takes a row of the two programs into their own results, on disk at once."""
        if "summary" in found:
            ratio = found["summary"]
            interval = f"{ratio['low']:.3f} to {ratio['high']:.3f}"
            say(f"{name}: {ratio['ratio']:.3f} times as fast as the earlier program ({interval})")
        found = {**found, "threads": self.threads, "date": datetime.date.today().isoformat()}
        self.paired["rows"][name] = found
        self.paired["machine"] = machine()
        report.write_results(self.args.paired, self.paired)

    def keep(self, name: str, result: dict) -> None:
        """Takes a row into the results, on disk at once: a later failure loses nothing."""
        if self.args.only_before:
            # The page is about fcmae beside others.
            return
        result["date"] = datetime.date.today().isoformat()
        result["commit"] = commit()
        self.results["rows"][name] = result
        self.results["machine"] = machine()
        self.results["versions"] = versions(self.fcmae)
        report.write_results(self.args.results, self.results)

    def run(self, groups: list) -> None:
        for group in groups:
            measure = getattr(self, group, None)
            measure() if measure else self.rows(group)


def in_turn(sides: dict, number: int):
    """The sides in order; every other round the other way, which favours none when a machine slows down."""
    return list(sides) if number % 2 == 0 else list(reversed(sides))


def row_rate(worker: Worker, seconds: float) -> float:
    return worker.last["images"] / seconds


def summary(result: dict) -> dict:
    """Medians over all rounds, and what follows from them."""
    rounds = result["rounds"]
    images = result["batch"]
    names = list(rounds[0]["seconds"])
    medians = {
        name: statistics.median(sum((found["seconds"][name] for found in rounds), [])) for name in names
    }
    opponent = min((name for name in names if name != "fcmae"), key=medians.get)
    per_round = [
        statistics.median(found["seconds"][opponent]) / statistics.median(found["seconds"]["fcmae"])
        for found in rounds
    ]
    found = {
        "opponent": opponent,
        "opponent_seconds": medians[opponent],
        "opponent_images_per_second": images / medians[opponent],
        "seconds": medians["fcmae"],
        "images_per_second": images / medians["fcmae"],
        "ratio": medians[opponent] / medians["fcmae"],
        "median_of_round_ratios": statistics.median(per_round),
    }
    if result["gflop_per_image"] is not None:
        work = images * result["gflop_per_image"]
        shares = [
            work / statistics.median(each["seconds"]["fcmae"]) / each["matrix_gflops"] for each in rounds
        ]
        found["share"] = statistics.median(shares)
    found["disturbed_rounds"] = sum(each["foreign_share"] > ALLOWED for each in rounds)
    return found


def machine() -> dict:
    info = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": f"{platform.system()} {platform.machine()}",
    }


def versions(fcmae: Path) -> dict:
    packages = ("torch", "torchvision", "timm", "onnxruntime", "openvino", "pillow", "numpy")
    found = subprocess.run([str(fcmae), "--version"], check=True, capture_output=True, text=True).stdout
    return {
        "fcmae": found.split()[-1],
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def commit() -> str | None:
    """What fcmae was built from, as far as git knows."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if found.returncode != 0:
        return None
    # What this program writes itself is no change of fcmae.
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "crates", "Cargo.lock"]).returncode
    return found.stdout.strip() + ("-dirty" if changed else "")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def built() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "fcmae"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="run"
    )
    parser.add_argument("--only", default=",".join(GROUPS), help=f"groups, of {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, help="rounds of each row (5)")
    parser.add_argument("--turn", type=float, default=3.0, help="seconds of one side's turn, about (3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both sides (2)")
    parser.add_argument("--data", type=Path, help="JPEG pictures to load; without it, some are drawn")
    parser.add_argument("--quick", action="store_true", help="tiny images and few rounds, into quick/ alone")
    parser.add_argument(
        "--no-compile", action="store_true", help="without torch.compile, which takes minutes"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report anew")
    parser.add_argument("--before", type=Path, metavar="PROGRAM", help="an earlier fcmae, as one more side")
    parser.add_argument(
        "--only-before",
        action="store_true",
        help="fcmae and --before alone, without PyTorch and the others; the page stays as it is",
    )
    parser.add_argument("--fcmae", type=Path, default=built(), help="the program")
    args = parser.parse_args()
    groups = args.only.split(",")
    unknown = [group for group in groups if group not in GROUPS]
    if unknown:
        parser.error(f"--only {','.join(unknown)}: the groups are {', '.join(GROUPS)}")
    if args.rounds is not None and args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    if args.only_before and not args.before and not args.report:
        parser.error("--only-before needs --before")
    if args.before and not args.before.is_file():
        parser.error(f"--before {args.before} is missing")
    if args.before and args.rounds == 1:
        parser.error("--before needs --rounds of at least 2: one round tells nothing about chance")
    if not args.report and not args.fcmae.is_file():
        parser.error(f"{args.fcmae} is missing: cargo build --release -p fcmae-cli, or give --fcmae")

    args.cache = HERE / ".cache"
    out = HERE / "quick" if args.quick else HERE
    page, images = ROOT / "docs" / "performance.md", ROOT / "docs" / "images"
    if args.quick:
        page, images = out / "performance.md", out / "images"
        shutil.rmtree(out, ignore_errors=True)
    args.results, args.paired = out / "results.json", out / "before.json"
    if not args.report:
        with tempfile.TemporaryDirectory(prefix="fcmae-compare-") as folder:
            comparison = Comparison(args, Path(folder))
            comparison.run([group for group in GROUPS if group in groups])
    if not args.only_before:
        if not args.results.exists():
            raise SystemExit(
                f"{args.results} is missing: there is nothing to report yet; run without --report"
            )
        report.write(report.read(args.results), page, images)
        say(f"written: {page}, {args.results}")
    if args.before or args.only_before:
        paired = report.read(args.paired)
        if not paired.get("rows"):
            raise SystemExit("no row of the two programs was measured")
        table = args.paired.with_suffix(".md")
        table.write_text(before.text(paired))
        print(table.read_text())
        say(f"written: {table}, {args.paired}")


if __name__ == "__main__":
    main()
