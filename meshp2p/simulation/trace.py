"""A run on disk: one JSON object a line, written while it happens, read back without guessing.

    with write_trace(world, "run.jsonl", scenario="partition and heal"):
        world.run_for(60.0)

The first line says which run it is; every further one is a `Happening`:

    {"trace": 1, "meshp2p": "0.1.0", "python": "3.11.7", "seed": 7, "scenario": "", "nodes": []}
    {"t": 12.3457, "n": "bob", "k": "recv", "from": "alice", "what": "datagram", "id": 4711}

Numbers are written so that reading gives the very same number. No line holds a date, a path or
anything else of the machine, so two runs of one seed give the same file, byte for byte.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import attrs

import meshp2p
from meshp2p.errors import UsageError
from meshp2p.simulation.happening import Fact, Happening, Watcher

if TYPE_CHECKING:
    from types import TracebackType

    from meshp2p.simulation.world import World

FORMAT: Final = 1
"""Of the file; a reader refuses any other."""

_FRAME: Final = ("t", "n", "k")
"""Keys of time, node and kind; all others are the happening's own."""
_VERSIONS: Final[tuple[str, ...]] = ("meshp2p", "python")
"""Whose versions the first line holds."""
_FACTS: Final = frozenset({str, int, float, bool})
_LONGEST_SHOWN: Final = 60
"""Characters of a broken line that an error repeats."""


class BrokenTrace(UsageError):
    """A file that is no trace, or no whole one; the text names file, line and what to do."""


class CutTrace(BrokenTrace):
    """The last line ends in the middle: whoever wrote it was stopped. All before it is good."""


# --- writing ---------------------------------------------------------------------------


def line_of(happening: Happening) -> str:
    """The happening as one line of JSON, line break included.

    Raises:
        UsageError: A detail is named like a key of the line itself.
    """
    detail = happening.detail
    if not detail.keys().isdisjoint(_FRAME):
        raise UsageError(f"no detail of {happening.kind!r} may be named {', '.join(_FRAME)}")
    whole: dict[str, Fact] = {"t": happening.at, "n": happening.node, "k": happening.kind}
    whole.update((name, _finite(value)) for name, value in detail.items())
    return json.dumps(whole, separators=(",", ":")) + "\n"


def _finite(value: Fact) -> Fact:
    """The value itself, or its name: JSON knows neither `inf` nor `nan`."""
    return repr(value) if isinstance(value, float) and not isfinite(value) else value


def write_trace(world: World, path: Path | str, *, scenario: str = "") -> TraceWriter:
    """Write everything that happens from now on, until the guard is removed.

    Nothing is kept in memory but the file's own buffer. Nodes that run already, and what they
    believe, are written first, so that a trace which begins late is still whole. A disk that
    gets full meanwhile is no matter of the run, which goes on; removing the guard tells of it.

    Returns:
        A guard: use it with `with`, or call its `remove()`.

    Raises:
        OSError: The file cannot be written; later, when the guard is removed, also.
    """
    header = {
        "trace": FORMAT,
        "meshp2p": meshp2p.__version__,
        "python": platform.python_version(),
        "seed": world.seed,
        "scenario": scenario,
        "nodes": list(world.nodes),
    }
    writer = TraceWriter(path, header, world.watchers)
    for happening in _so_far(world):
        writer(happening)
    return writer


class TraceWriter:
    """Writes a line for each happening while it is among the watchers.

    Args:
        path: Of the file; what it held before is lost.
        header: The first line.
        watchers: Where the happenings come from; the writer adds itself.
    """

    def __init__(
        self,
        path: Path | str,
        header: Mapping[str, object],
        watchers: list[Watcher],
    ) -> None:
        """Open the file and begin."""
        self.path = Path(path)
        self.written = 0
        """Happenings so far."""
        self._watchers = watchers
        self._trouble: OSError | None = None
        self._file = self.path.open("w", encoding="utf-8", newline="\n")
        self._file.write(json.dumps(header, separators=(",", ":")) + "\n")
        watchers.append(self)

    def __call__(self, happening: Happening) -> None:
        """Write one line, or none after one that could not be written.

        Whoever watches must not disturb: an error here would come out of the world, and pass
        for one of the mesh.
        """
        if self._trouble is not None:
            return
        line = line_of(happening)
        try:
            self._file.write(line)
        except OSError as error:
            self._trouble = error
        else:
            self.written += 1

    def remove(self) -> None:
        """Watch no longer and close the file; again does nothing.

        Raises:
            OSError: The trace is not whole: something could not be written.
        """
        if self._file.closed:
            return
        self._watchers.remove(self)
        try:
            self._file.close()  # it is closed whether or not the rest can be written
        except OSError as error:
            self._trouble = self._trouble or error
        if self._trouble is not None:
            raise self._trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


def _so_far(world: World) -> Iterator[Happening]:
    """Who runs already, in which state, and what each believes."""
    for node in world.running:
        yield Happening(world.elapsed, node.name, "join", {"before": True})
        if node.is_paused:
            yield Happening(world.elapsed, node.name, "pause", {"before": True})
        for member in node.members:
            known = {"member": member.handle, "state": member.state, "event": "", "reason": ""}
            yield Happening(world.elapsed, node.name, "view", known)


# --- reading ---------------------------------------------------------------------------


@attrs.frozen
class Trace:
    """A run as it was written down: what its first line says, and how to read the others.

    Args:
        seed: Replays the run, with the same version.
        scenario: Its name, "" if it had none.
        nodes: Those that were there when the writing began.
        versions: Of what wrote it, by name: meshp2p, python.
    """

    path: Path
    seed: int
    scenario: str
    nodes: tuple[str, ...]
    versions: Mapping[str, str]

    def __iter__(self) -> Iterator[Happening]:
        """Everything that happened, in order, read as it is asked for.

        Raises:
            CutTrace: The file ends in the middle of a line.
            BrokenTrace: A line is no happening.
        """
        with _open(self.path) as file:
            file.readline()
            for number, line in enumerate(file, start=2):
                yield _happening(line, f"{self.path}, line {number}")


def read_trace(path: Path | str) -> Trace:
    """The trace in a file; only its first line is read at once.

    Raises:
        OSError: The file cannot be read.
        BrokenTrace: It does not begin as a trace does.
    """
    path = Path(path)
    with _open(path) as file:
        first = file.readline()
    where = f"{path}, line 1"
    if not first:
        raise BrokenTrace(f"{path} is empty: was the run stopped before it began?")
    header = _object(first, where)
    match header:
        case {"trace": int(number)} if number != FORMAT:
            raise BrokenTrace(
                f"{where}: the trace has format {number}, this version reads {FORMAT}:"
                " read it with the meshp2p that wrote it"
            )
        case {"trace": int(), "seed": int(seed), "scenario": str(scenario), "nodes": [*nodes]}:
            versions = {name: str(header.get(name, "?")) for name in _VERSIONS}
            return Trace(path, seed, scenario, tuple(map(str, nodes)), versions)
        case _:
            raise BrokenTrace(f"{where}: no header of a trace, but {_shown(first)}")


def _open(path: Path) -> Any:  # noqa: ANN401  # TextIOWrapper, whose import says nothing more
    # What is not UTF-8 becomes a mark: the line then fails as JSON, or shows the mark in a name.
    return path.open(encoding="utf-8", errors="replace", newline="\n")


def _happening(line: str, where: str) -> Happening:
    detail = _object(line, where)
    at, node, kind = (detail.pop(name, None) for name in _FRAME)
    is_moment = isinstance(at, int | float) and isfinite(at)
    if not (is_moment and isinstance(node, str) and isinstance(kind, str)):
        raise BrokenTrace(f"{where}: t, n or k is missing or wrong in {_shown(line)}")
    for name, value in detail.items():
        if type(value) not in _FACTS:
            raise BrokenTrace(f"{where}: {name!r} is neither text nor number: {_shown(line)}")
    return Happening(at, node, kind, detail)


def _object(line: str, where: str) -> dict[str, Any]:
    """One line as a JSON object.

    Raises:
        CutTrace: It has no line break.
        BrokenTrace: It is something else.
    """
    if not line.endswith("\n"):
        raise CutTrace(f"{where}: cut off: was the run stopped, or does it still write?")
    try:
        whole = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise BrokenTrace(f"{where}: not JSON: {_shown(line)}") from error
    if not isinstance(whole, dict):
        raise BrokenTrace(f"{where}: not a JSON object: {_shown(line)}")
    return whole


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


def _shown(line: str) -> str:
    line = line.rstrip("\n")
    return repr(line if len(line) <= _LONGEST_SHOWN else line[:_LONGEST_SHOWN] + "...")
