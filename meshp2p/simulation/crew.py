"""Processes that run seeds. One that dies or hangs is reported and replaced, never waited for.

Each is started afresh, so that no run sees what another left behind in memory; each ends
with the process that started it, however that ends.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from meshp2p.ids import Seconds

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

Job: TypeAlias = Callable[[], Any]
"""Something that can travel and be called there; what it returns travels back."""

_SELDOM: Final = (50_000, 20, 100)
"""Garbage collections: a run makes many objects and little garbage in circles."""
BOOT: Final[Seconds] = 60.0
"""Real seconds for a process to start, on a machine with too much to do."""


class CrewError(Exception):
    """No process can be started that works."""


@attrs.frozen
class Lost:
    """A job without a result; `why` is for people."""

    job: Job
    why: str


@attrs.frozen
class Done:
    """A job and what it returned."""

    job: Job
    result: Any


@attrs.define(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    since: float
    ready: bool = False
    job: Job | None = None


class Crew:
    """A few such processes.

    Args:
        size: How many.
        patience: Real seconds for one job.
    """

    def __init__(self, size: int, patience: Seconds) -> None:
        """Start them."""
        self.patience = patience
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        for _ in range(size):
            self._start()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs,), daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()  # inherits the mask: Ctrl-C is for the one who started it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        self._workers.append(_Worker(process, ours, time.monotonic()))

    @property
    def idle(self) -> int:
        """How many have nothing to do."""
        return sum(worker.job is None for worker in self._workers)

    @property
    def busy(self) -> int:
        """How many are at work."""
        return len(self._workers) - self.idle

    def give(self, job: Job) -> None:
        """Let one that is idle do it."""
        worker = next(each for each in self._workers if each.job is None)
        worker.job = job
        if worker.ready:
            self._send(worker)

    def _send(self, worker: _Worker) -> None:
        worker.since = time.monotonic()
        with suppress(OSError):  # it has died: its silence will tell
            worker.pipe.send(worker.job)

    def wait(self, timeout: Seconds) -> list[Done | Lost]:
        """What has ended by now, or within so many real seconds.

        Raises:
            CrewError: A process ended before it could do anything.
        """
        pipes = [worker.pipe for worker in self._workers]
        connection.wait(pipes, timeout)
        return list(self._look())

    def _look(self) -> Iterator[Done | Lost]:
        for worker in list(self._workers):
            try:
                while worker.pipe.poll():
                    yield from self._receive(worker)
            except (EOFError, OSError):
                yield from self._replace(worker, "its process " + _end_of(worker.process))
                continue
            allowed = self.patience if worker.ready else BOOT
            waits = worker.job is not None or not worker.ready
            if waits and time.monotonic() - worker.since > allowed:
                yield from self._replace(worker, f"it did not end within {allowed:g} s")

    def _receive(self, worker: _Worker) -> Iterator[Done]:
        result = worker.pipe.recv()
        if not worker.ready:
            worker.ready = True
            if worker.job is not None:
                self._send(worker)
            return
        job, worker.job = worker.job, None
        if job is not None:
            yield Done(job, result)

    def _replace(self, worker: _Worker, why: str) -> Iterator[Lost]:
        self._workers.remove(worker)
        _kill(worker)
        if not worker.ready:
            raise CrewError(f"a process that should run seeds did not start: {why}")
        self._start()
        if worker.job is not None:
            yield Lost(worker.job, why)

    def close(self) -> None:
        """End all of them, whatever they do."""
        workers, self._workers = self._workers, []
        for worker in workers:
            _kill(worker)


def _end_of(process: SpawnProcess) -> str:
    process.join(1.0)
    code = process.exitcode
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _kill(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


# --- in the other process --------------------------------------------------------------


def serve(jobs: Connection) -> None:
    """Do jobs until there are no more; what they print is for people, not a command's output."""
    sys.stdout = sys.stderr
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collect_seldom()
    with suppress(EOFError, BrokenPipeError):
        jobs.send(None)
        while True:
            job = jobs.recv()
            jobs.send(job())


def collect_seldom() -> None:
    """Let this process look for garbage seldom, and never again at what is there by now.

    What was imported stays; looking through it again and again takes a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(*_SELDOM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
