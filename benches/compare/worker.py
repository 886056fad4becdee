"""A process that makes timed steps on command, and between commands does nothing.

Both sides speak the same lines: `matrix`, or a number of steps, on standard input; one line of JSON on
standard output. fcmae's side is `fcmae bench --worker`, the other's is opponents.py.
"""

import json
import os
import subprocess
import tempfile


class Failed(Exception):
    """A worker that ended, with the end of what it said about it."""


class Worker:
    """A running worker; `name` is for messages."""

    def __init__(self, name: str, command: list, environment: dict | None = None):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.last = {}

    def ask(self, line: str) -> dict:
        """The answer to one line."""
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Failed(f"{self.name}: {self._last_words()}")
        return json.loads(answer)

    def steps(self, count: int) -> list[float]:
        """Makes steps; the seconds of each. `last` has the whole answer."""
        self.last = self.ask(str(count))
        return self.last["seconds"]

    def matrix(self) -> float:
        """The machine's own rate at matrix products, in GFLOP/s, as this side reaches it."""
        return self.ask("matrix")["matrix_gflops"]

    def close(self) -> None:
        """Ends it."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _last_words(self) -> str:
        code = self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().splitlines() if line.strip()]
        return f"ended with code {code}: {lines[-1][:300] if lines else 'without a word'}"
