"""Requests with an idempotency key: run once, answered as often as asked. Bounded."""

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
    """The answer that every later request with the key gets."""

    status: int
    body: bytes


@attrs.define(eq=False)
class Running:
    """The first request is being run; these jobs want its answer too."""

    waiting: list[int] = attrs.field(factory=list)


class Duplicates:
    """A window of keys seen; the oldest answered one goes first."""

    def __init__(self) -> None:
        """No key was seen."""
        self._seen: OrderedDict[Key, Running | Answered] = OrderedDict()

    def find(self, key: Key) -> Running | Answered | None:
        """What is known of a key."""
        return self._seen.get(key)

    def begin(self, key: Key) -> None:
        """The first request with this key is taken on."""
        self._seen[key] = Running()
        while len(self._seen) > limits.MAX_DUPLICATES:
            self._seen.popitem(last=False)

    def settle(self, key: Key, status: int, body: bytes) -> list[int]:
        """The request was answered; return the jobs that waited for it."""
        running = self._seen.get(key)
        self._seen[key] = Answered(status, body)
        return running.waiting if isinstance(running, Running) else []

    def forget(self, key: Key) -> list[int]:
        """The request did not run: the next one with its key may."""
        running = self._seen.pop(key, None)
        return running.waiting if isinstance(running, Running) else []
