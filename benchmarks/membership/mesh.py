"""Many real nodes of meshp2p, each in a process of its own, all with one seed."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import attrs

import meshp2p
from benchmarks.membership import namespace
from meshp2p.ids import Seconds

PORT: Final = 6374
BOOT: Final[Seconds] = 300.0
"""For all to start, on a machine with too much to do."""
ONE: Final = (sys.executable, "-m", "benchmarks.membership.one")
_PIPE: Final = 1 << 20
"""Bytes of reports that may wait while nobody reads: a node must not wait for its reader."""
_LOOK: Final[Seconds] = 1.0
"""How often to look whether all processes still run."""


@attrs.frozen
class Seen:
    """One of them saw something.

    Args:
        word: See `one`.
        other: Number of the member that it is about; None if it is about all.
        at: On the clock of `now`.
    """

    word: str
    other: int | None
    at: Seconds


def now() -> Seconds:
    """The clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Mesh:
    """So many nodes; they do nothing before `begin`. Number 0 is the others' seed."""

    name = f"meshp2p {meshp2p.__version__}"
    how = (
        "Each of meshp2p's nodes reads its keys, binds its sockets and joins after the signal; it "
        "reports when its own members() says so."
    )

    def __init__(self, size: int, *, command: Sequence[str] = ONE, within: Seconds = BOOT) -> None:
        """Start the processes, and wait until each has imported what it needs.

        Args:
            command: What each runs, with its orders as a last argument.
            within: Wait no longer.

        Raises:
            RuntimeError: One has ended, or is not ready in time.
        """
        self.size = size
        self._command = command
        self.seen: defaultdict[int, list[Seen]] = defaultdict(list)
        """By the number of who saw it."""
        self._net = f"127.{Random().randrange(64, 250)}.{Random().randrange(256)}"
        self._state = tempfile.TemporaryDirectory()
        self._open_pipes()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(size):
                self._processes.append(self._boot(number))
            self._await_ready(within)
        except BaseException:  # Ctrl-C too: processes must not stay
            self.close()
            raise

    def _open_pipes(self) -> None:
        self._start_read, self._start_write = os.pipe()
        self._report_read, self._report_write = os.pipe()
        self._life_read, self._life_write = os.pipe()
        self._pipes = {self._start_read, self._start_write, self._report_read}
        self._pipes |= {self._report_write, self._life_read, self._life_write}
        fcntl.fcntl(self._report_write, fcntl.F_SETPIPE_SZ, _PIPE)
        self._rest = b""

    def host(self, number: int) -> str:
        """Its address."""
        return f"{self._net}.{number + 1}"

    def _boot(self, number: int) -> subprocess.Popen[bytes]:
        given = {
            "number": number,
            "size": self.size,
            "bind": f"{self.host(number)}:{PORT}",
            "seeds": [f"{self.host(0)}:{PORT}"] if number else [],
            "state": str(Path(self._state.name)),
            "start": self._start_read,
            "report": self._report_write,
        }
        return subprocess.Popen(  # noqa: S603  # our own module
            [*self._command, json.dumps(given)],
            pass_fds=(self._start_read, self._report_write),
            stdin=self._life_read,
            group=namespace.FIRST_GROUP + number if namespace.is_inside() else None,
        )

    # --- what happens to them --------------------------------------------------

    def begin(self) -> Seconds:
        """Let all start at once; return when."""
        at = now()
        self._pipes.remove(self._start_write)
        os.close(self._start_write)
        return at

    def kill(self, number: int) -> Seconds:
        """End its process at once; return when."""
        at = now()
        self._processes[number].kill()
        self._processes[number].wait()
        return at

    def freeze(self, number: int) -> Seconds:
        """Let its process stand still: whoever asks it hears nothing; return when."""
        at = now()
        self._processes[number].send_signal(signal.SIGSTOP)
        return at

    def thaw(self, number: int) -> None:
        """Let it go on."""
        self._processes[number].send_signal(signal.SIGCONT)

    def silence(self, number: int) -> Seconds:
        """Lose all that it sends and is sent; return when."""
        namespace.silence(self.host(number), namespace.FIRST_GROUP + number)
        return now()

    def revive(self, number: int) -> None:
        """Start a killed one again, with the keys that it had."""
        self._processes[number] = self._boot(number)

    def unsilence(self, number: int) -> None:
        """Let it be heard again."""
        namespace.unsilence(self.host(number), namespace.FIRST_GROUP + number)

    def close(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()
        for pipe in self._pipes:
            os.close(pipe)
        self._state.cleanup()

    # --- what they see -----------------------------------------------------------

    @property
    def pids(self) -> list[int]:
        """Of all processes."""
        return [process.pid for process in self._processes]

    def whole(self, since: Seconds, within: Seconds) -> list[Seconds | None]:
        """When each saw all, in seconds after `since`; None for those that did not in time."""
        return self._moments(range(self.size), "whole", None, since, within)

    def known(self, word: str, other: int, since: Seconds, within: Seconds) -> list[Seconds | None]:
        """When each of the others saw that state of one member, likewise."""
        observers = [number for number in range(self.size) if number != other]
        return self._moments(observers, word, other, since, within)

    @property
    def state(self) -> str:
        """The directory of their keys, the mesh's too."""
        return self._state.name

    def told(self, number: int, since: Seconds) -> list[Seen]:
        """All that one of them has seen, in order."""
        while self._read(0.0):
            pass
        return [seen for seen in self.seen[number] if seen.at >= since]

    def count(self, word: str, since: Seconds) -> int:
        """How often something was seen, by all of them together."""
        while self._read(0.0):
            pass
        told = (seen for each in self.seen.values() for seen in each)
        return sum(seen.word == word and seen.at >= since for seen in told)

    def _moments(
        self,
        observers: Iterable[int],
        word: str,
        other: int | None,
        since: Seconds,
        within: Seconds,
    ) -> list[Seconds | None]:
        observers = list(observers)

        def moment(number: int) -> Seconds | None:
            for seen in self.seen[number]:
                if seen.word == word and seen.other == other and seen.at >= since:
                    return seen.at - since
            return None

        self._until(lambda: None not in map(moment, observers), within - (now() - since))
        return [moment(each) for each in observers]

    def _await_ready(self, within: Seconds) -> None:
        def are_ready() -> bool:
            return sum(seen.word == "ready" for each in self.seen.values() for seen in each) >= size

        size = self.size
        if not self._until(are_ready, within):
            raise RuntimeError(f"not ready within {within:g} s")

    def _until(self, holds: Callable[[], bool], within: Seconds) -> bool:
        end = now() + within
        while not holds() and now() < end:
            self._read(min(_LOOK, end - now()))
            for process in self._processes:
                if process.poll() not in (None, -signal.SIGKILL):
                    raise RuntimeError(f"a node's process ended with status {process.returncode}")
        return holds()

    def _read(self, within: Seconds) -> bool:
        """Take in what has been reported; False if nothing came within this time."""
        readable, _, _ = select.select([self._report_read], [], [], max(0.0, within))
        if not readable:
            return False
        *lines, self._rest = (self._rest + os.read(self._report_read, 1 << 16)).split(b"\n")
        for line in lines:
            number, word, other, at = line.decode().split()
            about = None if other == "-" else int(other.removeprefix("node"))
            self.seen[int(number)].append(Seen(word, about, float(at)))
        return True
