"""Programs of users, run as processes of their own and talked to line by line."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

REPOSITORY = Path(__file__).parents[2]
STARTING = 60.0
"""Seconds in which a program has started, on a machine with ten others to run."""


class Program:
    """A running Python program. What it prints is read as it comes."""

    def __init__(self, source: str, *arguments: str, interpreter: tuple[str, ...] = ()) -> None:
        """Start it; its state directory is the test's."""
        code = textwrap.dedent(source)
        paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, *(interpreter or ("-u", "-W", "error", "-c")), code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_output(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        self._errors += self.process.stderr or ()

    def line(self, *, within: float = STARTING) -> str:
        """The next line that it prints."""
        try:
            line = self._lines.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no line within {within} s; {self.errors()}") from None
        assert line is not None, f"the program ended: {self.errors()}"
        return line

    def has_said(self, text: str) -> bool:
        """Whether the next line is there, and is this one; then it is read."""
        return not self._lines.empty() and self.line() == text

    @property
    def is_silent(self) -> bool:
        """Whether no line waits to be read."""
        return self._lines.empty()

    def say(self, text: str = "") -> None:
        """Give it a line to read."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. One that is to stand still does so in all its threads on return."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:  # until its first thread sees it, the others go on
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def wait(self, *, within: float = STARTING) -> int:
        """Its exit status."""
        status = self.process.wait(within)
        for reader in self._readers:
            reader.join(within)
        return status

    def errors(self) -> str:
        """What it has written to standard error so far."""
        return "".join(self._errors)

    def close(self) -> None:
        """End it, whatever it does, and give back its pipes."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


Run: TypeAlias = Callable[..., Program]
"""What the fixture `run` gives: as `Program`."""
