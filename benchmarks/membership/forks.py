"""Experiments in forks of this process, a few at once; what they came to may be kept on disk.

Some tables take more hours of CPU than anybody has at once. With a folder to keep results in,
a run that was interrupted goes on where it was, as long as no line of the program has changed.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeVar

import attrs

from meshp2p.simulation import World

_T = TypeVar("_T")

_REPOSITORY: Final = Path(__file__).parents[2]
_SOURCES: Final = ("meshp2p", "simulations", "benchmarks/membership")
"""A figure is of these, and of no other version of them."""


@attrs.frozen
class Forks:
    """How many at once, and where results are kept.

    Args:
        workers: Processes at once.
        kept: A folder; None to keep nothing.
    """

    workers: int = 2
    kept: Path | None = None

    def each(self, what: str, acts: Sequence[Callable[[], _T]]) -> list[_T]:
        """Do each; results in the order of the acts.

        Args:
            what: Tells these acts from all others, whatever they depend on.

        Raises:
            RuntimeError: One did not end well.
        """
        results: dict[int, _T] = dict(self._found(what, len(acts)))
        missing = {number: act for number, act in enumerate(acts) if number not in results}
        if len(missing) < len(acts):
            print(f"{what}: {len(acts) - len(missing)} of {len(acts)} were kept", file=sys.stderr)
        for number, result in _done(missing, self.workers):
            self._keep(what, number, result)
            results[number] = result
            print(f"{what}: {len(results)} of {len(acts)} simulated", file=sys.stderr)
        return [results[number] for number in range(len(acts))]

    def each_in(
        self, what: str, prepare: Callable[[], World], acts: Sequence[Callable[[World], _T]]
    ) -> list[_T]:
        """Do each in a world that took long to prepare; each has it for itself.

        Args:
            prepare: Called once, or not at all if all results were kept.

        Raises:
            RuntimeError: One did not end well.
        """
        world = cache(prepare)
        if dict(self._found(what, len(acts))).keys() != set(range(len(acts))):
            world()  # before the first fork
        return self.each(what, [partial(_in_world, act, world) for act in acts])

    # --- on disk ---------------------------------------------------------------

    def _found(self, what: str, count: int) -> Iterator[tuple[int, _T]]:
        for number in range(count):
            path = self._path(what, number)
            if path is not None and path.exists():
                yield number, pickle.loads(path.read_bytes())  # noqa: S301  # this program wrote it

    def _keep(self, what: str, number: int, result: object) -> None:
        path = self._path(what, number)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.write_bytes(pickle.dumps(result))
        half.replace(path)

    def _path(self, what: str, number: int) -> Path | None:
        if self.kept is None:
            return None
        name = hashlib.sha256(f"{version()} {number} {what}".encode()).hexdigest()[:32]
        return self.kept / f"{name}.pickle"


@cache
def version() -> str:
    """A hash of every line of the program that a figure depends on."""
    found = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((_REPOSITORY / folder).rglob("*.py")):
            found.update(str(path.relative_to(_REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _in_world(act: Callable[[World], _T], world: Callable[[], World]) -> _T:
    return act(world())


def _done(acts: Mapping[int, Callable[[], _T]], workers: int) -> Iterator[tuple[int, _T]]:
    """As they end."""
    context = get_context("fork")
    running: dict[Connection, int] = {}
    waiting = list(acts.items())[::-1]
    while waiting or running:
        while waiting and len(running) < workers:
            number, act = waiting.pop()
            ours, theirs = context.Pipe(duplex=False)
            context.Process(target=_act, args=(act, theirs), daemon=True).start()
            theirs.close()
            running[ours] = number
        for pipe in connection.wait(list(running)):
            assert isinstance(pipe, Connection)
            number = running.pop(pipe)
            try:
                result = pipe.recv()
            except EOFError:
                raise RuntimeError(f"number {number} ended badly") from None
            pipe.close()
            yield number, result


def _act(act: Callable[[], object], result: Connection) -> None:
    result.send(act())
