"""Requests with an idempotency key: run once, answered as often as asked. Bounded.

Each caller has a window of its own: who asks with a thousand keys makes this node
forget its own earlier keys, not somebody else's. What runs is never forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

import attrs

from meshp2p.ids import NodeId
from meshp2p.wire import limits

Key: TypeAlias = tuple[NodeId, str, str]
"""Caller, method, the caller's key."""


@attrs.define(eq=False)
class Answered:
    """The answer that every later request with the key gets, if it is the same request."""

    status: int
    body: bytes
    asked: bytes = b""


@attrs.define(eq=False)
class Running:
    """The first request waits or runs as `job`; the jobs `waiting` want its answer too.

    Args:
        asked: Hash of the first request's body.
    """

    job: int
    asked: bytes = b""
    waiting: list[int] = attrs.field(factory=list)


class Duplicates:
    """Keys seen, by caller; each caller's oldest answer goes first."""

    def __init__(self) -> None:
        """No key was seen."""
        self._running: dict[Key, Running] = {}
        self._answered: dict[NodeId, OrderedDict[Key, Answered]] = {}
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """What all kept answers take."""
        return self._bytes

    def find(self, key: Key) -> Running | Answered | None:
        """What is known of a key."""
        running = self._running.get(key)
        if running is not None:
            return running
        window = self._answered.get(key[0])
        return None if window is None else window.get(key)

    def begin(self, key: Key, job: int, asked: bytes = b"") -> None:
        """The first request with this key is taken on."""
        self._running[key] = Running(job, asked)

    def settle(self, key: Key, status: int, body: bytes) -> list[int]:
        """The request was answered; return the jobs that waited for it."""
        running = self._running.pop(key, None)
        window = self._answered.setdefault(key[0], OrderedDict())
        window[key] = Answered(status, body, b"" if running is None else running.asked)
        self._bytes += len(body)
        while len(window) > limits.MAX_DUPLICATES:
            self._drop_oldest(key[0])
        while self._bytes > limits.MAX_DUPLICATE_BYTES:
            self._drop_oldest(max(self._answered, key=self._size_of))
        return [] if running is None else running.waiting

    def forget(self, key: Key) -> list[int]:
        """The request did not run: the next one with its key may."""
        running = self._running.pop(key, None)
        return [] if running is None else running.waiting

    def forget_caller(self, caller: NodeId) -> None:
        """The caller left for good."""
        for answer in self._answered.pop(caller, {}).values():
            self._bytes -= len(answer.body)

    def _size_of(self, caller: NodeId) -> int:
        return sum(len(answer.body) for answer in self._answered[caller].values())

    def _drop_oldest(self, caller: NodeId) -> None:
        window = self._answered[caller]
        _, answer = window.popitem(last=False)
        self._bytes -= len(answer.body)
        if not window:
            del self._answered[caller]
