"""Requests with an idempotency key: run once, answered as often as asked. Bounded.

Each caller has a window of its own: who asks with a thousand keys makes this node
forget its own earlier keys, not somebody else's. What runs is never forgotten; an
answer is, `limits.DUPLICATE_LIFE` after it was given.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeAlias

import attrs

from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

Key: TypeAlias = tuple[NodeId, str, str]
"""Caller, method, the caller's key."""

_WIDEST_LETTER: Final = 4
"""Bytes that CPython takes for each letter of a text in which one needs as many."""


@attrs.define(eq=False)
class Answered:
    """The answer that every later request with the key gets, if it is the same request.

    Args:
        asked: Hash of the request's body.
        size: What it costs to keep, its key included.
        forgotten_at: When nobody can ask for it any more.
    """

    status: int
    body: bytes
    asked: bytes
    size: int
    forgotten_at: Seconds


@attrs.define(eq=False)
class Running:
    """The first request waits or runs as `job`; the jobs `waiting` want its answer too.

    Args:
        asked: Hash of the first request's body.
    """

    job: int
    asked: bytes = b""
    waiting: list[int] = attrs.field(factory=list)


@attrs.define(eq=False)
class _Window:
    """One caller's answers, the oldest first, and what they cost together."""

    keys: OrderedDict[Key, None] = attrs.field(factory=OrderedDict)
    size: int = 0


class Duplicates:
    """Keys seen, by caller; each caller's oldest answer goes first."""

    def __init__(self) -> None:
        """No key was seen."""
        self._running: dict[Key, Running] = {}
        self._answered: OrderedDict[Key, Answered] = OrderedDict()
        self._windows: dict[NodeId, _Window] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Answers kept."""
        return len(self._answered)

    @property
    def held_bytes(self) -> int:
        """What all kept answers take."""
        return self._bytes

    def find(self, key: Key, *, now: Seconds) -> Running | Answered | None:
        """What is known of a key."""
        self.expire(now=now)
        return self._running.get(key) or self._answered.get(key)

    def begin(self, key: Key, job: int, asked: bytes = b"") -> None:
        """The first request with this key is taken on."""
        self._running[key] = Running(job, asked)

    def settle(self, key: Key, status: int, body: bytes, *, now: Seconds) -> list[int]:
        """The request was answered; return the jobs that waited for it."""
        self.expire(now=now)
        running = self._running.get(key)
        asked = b"" if running is None else running.asked
        forgotten_at = now + limits.DUPLICATE_LIFE
        self._keep(key, Answered(status, body, asked, _cost(key, body), forgotten_at))
        return self.forget(key)

    def _keep(self, key: Key, answer: Answered) -> None:
        window = self._windows.setdefault(key[0], _Window())
        self._answered[key] = answer
        window.keys[key] = None
        window.size += answer.size
        self._bytes += answer.size
        if len(window.keys) > limits.MAX_DUPLICATES:
            self._drop_oldest(window)
        while self._bytes > limits.MAX_DUPLICATE_BYTES:
            self._drop_oldest(max(self._windows.values(), key=lambda window: window.size))

    def forget(self, key: Key) -> list[int]:
        """The request did not run: the next one with its key may."""
        running = self._running.pop(key, None)
        return [] if running is None else running.waiting

    def expire(self, *, now: Seconds) -> None:
        """Forget what was answered long ago."""
        answered = self._answered
        while answered:
            key = next(iter(answered))
            if answered[key].forgotten_at > now:
                return
            self._drop(key)

    def _drop_oldest(self, window: _Window) -> None:
        self._drop(next(iter(window.keys)))

    def _drop(self, key: Key) -> None:
        size = self._answered.pop(key).size
        window = self._windows[key[0]]
        del window.keys[key]
        window.size -= size
        self._bytes -= size
        if not window.keys:
            del self._windows[key[0]]


def _cost(key: Key, body: bytes) -> int:
    _, method, text = key
    return len(body) + _letters(method) + _letters(text) + limits.DUPLICATE_OVERHEAD


def _letters(text: str) -> int:
    return len(text) if text.isascii() else _WIDEST_LETTER * len(text)
