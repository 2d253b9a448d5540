"""Engines whose every input and output is on tape, to be played to another one."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, count
from operator import attrgetter
from typing import Any

import attrs

from meshp2p.engine import Engine
from meshp2p.identity.trust import Trust

_INPUTS = (
    "begin",
    "call",
    "cancel",
    "close",
    "coordination.call_vote",
    "coordination.hold",
    "datagram_refused",
    "effects",
    "leave",
    "listen",
    "next_deadline",
    "receive_addresses",
    "receive_datagram",
    "receive_deadline",
    "receive_outcome",
    "receive_persisted",
    "receive_resolved",
    "receive_stream",
    "receive_wall_clock",
    "set_capabilities",
    "stop",
    "stream_accepted",
    "stream_bytes",
    "stream_closed",
    "stream_opened",
)


@attrs.define(eq=False)
class Tape:
    """All that one engine was given, in order, and what it gave back.

    Args:
        made_with: What it was constructed with.
        entries: (method, positional, keywords, result).
        drawn: What its entropy gave.
    """

    made_with: dict[str, Any]
    dice: tuple[Any, ...]
    entries: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = attrs.field(factory=list)
    drawn: list[bytes] = attrs.field(factory=list)

    def fresh_engine(self) -> Engine:
        """Another engine that begins like the first."""
        rng = random.Random()
        rng.setstate(self.dice)
        drawn = chain(self.drawn, (bytes([n % 251 + 1]) * 32 for n in count()))
        identity, crypto = self.made_with["identity"], self.made_with["crypto"]
        trust = Trust(crypto, identity.keys, self.made_with["config"].clock_tolerance)
        return Engine(
            **{**self.made_with, "rng": rng, "trust": trust, "entropy": lambda n: next(drawn)[:n]}
        )

    def play(self, engine: Engine) -> Iterator[tuple[Any, Any]]:
        """Give it the same inputs; yield what it gives back, and what the first gave."""
        for method, args, kwargs, result in self.entries:
            yield attrgetter(method)(engine)(*args, **kwargs), result

    @property
    def now(self) -> float:
        """The moment of the last input."""
        return max((given.get("now", 0.0) for _, _, given, _ in self.entries), default=0.0)

    def given(self, method: str) -> list[tuple[Any, ...]]:
        """The positional arguments of all inputs of one kind."""
        return [args for name, args, _, _ in self.entries if name == method]


class Recorder:
    """Makes engines for a world, and keeps their tapes."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []

    def __call__(self, **made_with: Any) -> Engine:  # noqa: ANN401  # as `Engine`
        """What a world takes as `make_engine`."""
        tape = Tape(made_with, made_with["rng"].getstate())
        self.tapes.append(tape)
        draw: Callable[[int], bytes] = made_with["entropy"]

        def drawing(size: int) -> bytes:
            tape.drawn.append(draw(size))
            return tape.drawn[-1]

        engine = Engine(**{**made_with, "entropy": drawing})
        for name in _INPUTS:
            owner = engine.coordination if "." in name else engine
            last = name.rpartition(".")[2]
            setattr(owner, last, _recording(tape, name, getattr(owner, last)))
        return engine


def _recording(tape: Tape, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as the method
        result = method(*args, **kwargs)
        tape.entries.append((name, args, kwargs, result))
        return result

    return recorded


def sizes(thing: object, path: str = "engine") -> dict[str, int]:
    """How many elements each container has that is reachable from a thing, by its path."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    waiting: deque[tuple[str, object]] = deque([(path, thing)])
    while waiting:
        where, value = waiting.popleft()
        if id(value) in seen or isinstance(value, str | bytes | int | float | type(None) | type):
            continue
        seen.add(id(value))
        if isinstance(value, bytearray):
            found[where] = len(value)
        elif isinstance(value, dict):
            found[where] = max(found.get(where, 0), len(value))
            waiting += [(where + "{}", item) for item in value.values()]
        elif isinstance(value, list | tuple | set | frozenset | deque):
            found[where] = max(found.get(where, 0), len(value))
            waiting += [(where + "[]", item) for item in value]
        elif type(value).__module__.startswith("meshp2p"):
            waiting += [(f"{where}.{name}", item) for name, item in _fields(value)]
    return found


def _fields(value: object) -> Iterator[tuple[str, object]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and not name.startswith("__"):
                yield name, getattr(value, name)
