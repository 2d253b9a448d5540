"""What `Node.on` registered hears of members: one event after the other, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from meshp2p.events import ClockSkew, Cut, Log, MemberEvent
from meshp2p.runtime.capability import Handler
from meshp2p.runtime.registry import Registry

_MAX_EVENTS: Final = 10_000
"""A listener that is slower than its mesh for long must not fill the memory."""


class Listeners:
    """Events that wait for one node's listeners.

    Args:
        registry: Says who listens to what, now.
        log: Told when events are lost, once until the queue is empty again.
    """

    def __init__(self, registry: Registry, log: Callable[[Log], None]) -> None:
        """Nothing has happened."""
        self._registry = registry
        self._log = log
        self._events: deque[MemberEvent | Cut | ClockSkew] = deque()
        self._wanted = trio.Event()
        self._losing = False

    def hear(self, event: MemberEvent | Cut | ClockSkew) -> None:
        """Queue an event if somebody listens to its kind."""
        if event.name not in self._registry.listeners:
            return
        if len(self._events) < _MAX_EVENTS:
            self._events.append(event)
            self._wanted.set()
        elif not self._losing:
            self._losing = True
            fields = (("bound", _MAX_EVENTS),)
            self._log(Log("error", "events are lost: a listener is slow", fields))

    @trio.lowlevel.enable_ki_protection
    async def run(
        self, tell: Callable[[Handler, MemberEvent | Cut | ClockSkew], Awaitable[None]]
    ) -> None:
        """Tell listeners, for ever.

        Args:
            tell: Runs one listener to its end; never raises what it raises.
        """
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            while self._events:
                event = self._events.popleft()
                for handler in self._registry.listeners.get(event.name, ()):
                    await tell(handler, event)
            self._losing = False
