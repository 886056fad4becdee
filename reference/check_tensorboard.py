"""Reads runs with TensorBoard itself, and holds what it shows against metrics.jsonl.

    python reference/check_tensorboard.py [RUN…]

Without a run, the test that writes one runs first (cargo must be at hand): a run of several lives, each
killed in the middle of a record. Compared are all curves, in the order of steps and as float32, pictures
and texts by their count, and the rows of metrics.csv and evaluations.csv. TensorBoard reads in three ways:
its EventAccumulator, and its server with either loader, asked as a browser asks it.
"""

import csv
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter, defaultdict

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

ROOT = pathlib.Path(__file__).resolve().parent.parent
WRITE = ["cargo", "test", "--release", "--quiet", "-p", "fcmae-store", "--test", "metrics", "--"]
HELD_OUT = {"top1": "held_out/top1", "top5": "held_out/top5", "held_out_loss": "held_out/loss"}
TABLES = {
    "metrics.csv": ["step", "epoch", "loss", "lr", "images_per_second", "grad_norm"],
    "evaluations.csv": ["step", "epoch", "top1", "top5", "held_out_loss"],
}


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_lines(run):
    lines = []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            # Cut short by the kill; a resumed run takes it away.
            continue
    return [line for line in lines if isinstance(line, dict) and number(line.get("step"))]


def expected_curves(lines):
    curves = defaultdict(list)
    for line in lines:
        evaluation = any(key in HELD_OUT for key in line)
        for key, value in line.items():
            if key == "step" or not number(value) or (key == "epoch" and evaluation):
                continue
            tag = HELD_OUT.get(key, f"train/{key}")
            curves[tag].append((line["step"], float(np.float32(value))))
    return dict(curves)


def accumulated(run):
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    curves = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]
    }
    pictures = {
        tag: [(event.step, event.encoded_image_string) for event in events.Images(tag)]
        for tag in tags["images"]
    }
    texts = {
        tag: [
            (event.step, tensor_util.make_ndarray(event.tensor_proto).item().decode())
            for event in events.Tensors(tag)
        ]
        for tag in tags["tensors"]
    }
    return curves, pictures, texts


class Server:
    """TensorBoard as a browser sees it."""

    def __init__(self, run, fast):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/data"
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run), "--port", str(port)]
        command += ["--load_fast", "true" if fast else "false", "--host", "127.0.0.1"]
        command += ["--samples_per_plugin", "scalars=1000000,images=1000,text=1000"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, path, **query):
        query = "?" + urllib.parse.urlencode(query) if query else ""
        with urllib.request.urlopen(f"{self.address}/{path}{query}", timeout=10) as answer:
            return answer.read()

    def json(self, path, **query):
        return json.loads(self.get(path, **query))

    def tags(self, plugin):
        return self.json(f"plugin/{plugin}/tags").get(".", {})

    def wait(self, tags):
        """Until all curves are there: it loads while it answers."""
        for _ in range(120):
            try:
                if set(self.tags("scalars")) >= tags:
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self.process.poll() is not None:
                    raise SystemExit(self.process.stderr.read().decode()) from None
            time.sleep(0.5)
        raise SystemExit(f"TensorBoard's server shows {self.tags('scalars')}, not {tags}")

    def read(self, expected):
        self.wait(set(expected))
        time.sleep(2)
        curves = {
            tag: [(step, value) for _, step, value in
                  self.json("plugin/scalars/scalars", run=".", tag=tag)]
            for tag in self.tags("scalars")
        }
        pictures = {
            tag: [
                (entry["step"], self.get(f"plugin/images/individualImage?{entry['query']}"))
                for entry in self.json("plugin/images/images", run=".", tag=tag, sample=0)
            ]
            for tag in self.tags("images")
        }
        texts = {
            tag: [(entry["step"], entry["text"]) for entry in
                  self.json("plugin/text/text", run=".", tag=tag)]
            for tag in self.json("plugin/text/tags").get(".", [])
        }
        return curves, pictures, texts


def compare(found, expected, config, picture_steps):
    curves, pictures, texts = found
    assert set(curves) == set(expected), f"{sorted(curves)} instead of {sorted(expected)}"
    for tag, points in expected.items():
        assert curves[tag] == points, f"{tag}: {curves[tag]} instead of {points}"
    for tag, shown in pictures.items():
        steps = [step for step, _ in shown]
        assert max(Counter(steps).values()) == 1 and steps == sorted(steps), f"{tag}: {steps}"
        assert picture_steps is None or steps == picture_steps, f"{tag}: {steps}"
        for _, data in shown:
            Image.open(io.BytesIO(data)).load()
    assert picture_steps is None or len(pictures) == 1, pictures
    assert list(texts) == ["config"] and len(texts["config"]) == 1, texts
    step, text = texts["config"][0]
    words = [word for word in config.split() if word.isidentifier()]
    assert step == 0 and words and all(word in text for word in words), text


def check_tables(run, lines):
    for name, columns in TABLES.items():
        expected = [
            {column: line.get(column) for column in columns}
            for line in lines
            if any(column in line for column in columns[2:])
        ]
        with open(run / name, newline="") as file:
            reader = csv.DictReader(file)
            assert reader.fieldnames == columns, reader.fieldnames
            # The last row may have been cut short by a kill; a resumed run writes it anew.
            found = [
                {column: float(cell) if cell else None for column, cell in row.items()}
                for row in list(reader)[: len(expected)]
            ]
        assert found == expected, f"{name}: {found} instead of {expected}"


def check(run, picture_steps=None):
    lines = read_lines(run)
    expected = expected_curves(lines)
    config = (run / "config.toml").read_text()
    files = len(list(run.glob("events.out.tfevents.*")))
    points = sum(map(len, expected.values()))
    print(f"{run}: {len(lines)} lines, {points} points of {len(expected)} curves, {files} event files")
    check_tables(run, lines)
    print("  metrics.csv and evaluations.csv: equal")
    compare(accumulated(run), expected, config, picture_steps)
    print("  EventAccumulator: equal")
    for name, fast in [("Python", False), ("Rust", True)]:
        with Server(run, fast) as server:
            compare(server.read(expected), expected, config, picture_steps)
        print(f"  server with the loader in {name}: equal")


def main():
    runs = [pathlib.Path(argument) for argument in sys.argv[1:]]
    for run in runs:
        check(run)
    if not runs:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"FCMAE_TENSORBOARD_CHECK": folder}
            command = [*WRITE, "--exact", "a_resumed_run_shows_every_step_once"]
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            check(pathlib.Path(folder) / "run", picture_steps=[5, 10, 15, 20])


if __name__ == "__main__":
    main()
