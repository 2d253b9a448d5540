"""A user's shell: commands in processes of their own, in a home of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which something hangs, on a machine with much else to do."""
_LOOK_EVERY = 0.02


@attrs.frozen
class Ended:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        lines = self.out.splitlines()
        assert len(lines) == 1, f"not one line: {self.out!r} {self.err!r}"
        value: dict[str, Any] = json.loads(lines[0])
        return value


@attrs.define
class Shell:
    """Runs commands; whatever runs at the end of the test is killed."""

    home: Path
    runtime: str = "run"
    """Directory in which nodes of this machine find each other."""
    running: list[subprocess.Popen[str]] = attrs.field(factory=list)

    def environment(self) -> dict[str, str]:
        """Nothing of whoever runs the tests, but what Python needs."""
        for folder in (self.runtime, "tmp"):
            (self.home / folder).mkdir(mode=0o700, exist_ok=True)
        return {
            **os.environ,
            "MESHP2P_STATE": str(self.home / "state"),
            "XDG_RUNTIME_DIR": str(self.home / self.runtime),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONIOENCODING": "utf-8",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `python` with words."""
        process = subprocess.Popen(
            [sys.executable, *words],
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.running.append(process)
        return process

    def python(self, *words: str) -> Ended:
        """Run `python` to its end."""
        process = self.start(*words)
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def meshp2p(self, *words: str) -> Ended:
        """Run the command to its end."""
        return self.python("-m", "meshp2p", *words)

    def up(self, *words: str) -> subprocess.Popen[str]:
        """A node that is up."""
        process = self.start("-m", "meshp2p", "up", *words)
        assert process.stdout is not None
        assert "is up" in process.stdout.readline()
        return process

    def end(self, process: subprocess.Popen[str], how: signal.Signals) -> Ended:
        """Signal a process, and wait for its end."""
        process.send_signal(how)
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def close(self) -> None:
        """Leave no process."""
        for process in self.running:
            process.kill()
            process.communicate()


def eventually(happened: Callable[[], bool]) -> bool:
    """Whether it becomes true before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True


def children(process: int, word: str = "") -> list[int]:
    """Processes that it has started and that still are; those with a word in their command."""
    found: list[int] = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        found += map(int, tasks.read_text("ascii").split())
    return [child for child in found if word in command_of(child)]


def command_of(process: int) -> str:
    """Its words, or nothing once it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text("utf-8").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_gone(process: int) -> bool:
    """Whether it has ended; what nobody has yet asked for its status has ended, too."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"
