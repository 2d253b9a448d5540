"""Finding the first member: seeds and entries of the local directory, tried for ever.

Pauses grow from half a second to half a minute, so that a mesh that was torn apart
finds together again without anybody's help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from meshp2p.effects import Resolve
from meshp2p.engine.core import Core
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport.endpoint import Route

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_AT_ONCE: Final = 3


@attrs.frozen
class Neighbour:
    """A node that the local directory tells of."""

    id: NodeId
    transport_key: bytes
    addresses: tuple[Address, ...]
    handle: str = ""

    def route(self, _peer: NodeId) -> Route:
        """Where it listens, to whoever has to reach it."""
        return Route(self.addresses, self.transport_key)


@attrs.define(eq=False)
class _Seed:
    host: str
    port: int
    pause: Seconds = _FIRST_PAUSE
    next_try: Seconds = 0.0
    addresses: tuple[Address, ...] = ()
    resolving: bool = False


class Joining:
    """Which seed is tried when."""

    def __init__(
        self,
        core: Core,
        seeds: tuple[tuple[str, int], ...],
        *,
        visit: Callable[[Address, Seconds], None],
        knows: Callable[[Address], bool],
        now: Seconds,
    ) -> None:
        """Visit seeds with `visit` unless `knows` says that a member is there.

        Args:
            seeds: (host name or numeric address, port).
        """
        self._core = core
        self._seeds = [_Seed(host, port, next_try=now) for host, port in seeds]
        self._visit = visit
        self._knows = knows
        self.failures = 0

    @property
    def has_seeds(self) -> bool:
        """Whether somebody could still answer."""
        return bool(self._seeds)

    def begin(self, *, now: Seconds) -> None:
        """Try the first seeds at once."""
        self.receive_deadline(now=now)

    def receive_resolved(
        self, host: str, port: int, addresses: tuple[Address, ...], *, now: Seconds
    ) -> None:
        """The answer to `Resolve`; no addresses if the name is unknown."""
        for seed in self._seeds:
            if (seed.host, seed.port) == (host, port) and seed.resolving:
                seed.resolving = False
                seed.addresses = addresses
                if not addresses:
                    self._core.log("warning", "a seed's name cannot be resolved", host=host)
                for address in addresses[:_AT_ONCE]:
                    if not self._knows(address):
                        self._visit(address, now)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        soonest = float("inf")
        for seed in self._seeds:
            soonest = min(soonest, seed.next_try)
        return soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Try seeds whose pause is over; a seed that is a member rests."""
        due = [seed for seed in self._seeds if seed.next_try <= now]
        for seed in due[:_AT_ONCE]:
            jitter = self._core.rng.uniform(0.75, 1.25)
            seed.next_try = now + seed.pause * jitter
            seed.pause = min(2 * seed.pause, _LONGEST_PAUSE)
            if any(self._knows(address) for address in seed.addresses):
                seed.pause = _LONGEST_PAUSE
                continue
            seed.resolving = True
            self._core.emit(Resolve(seed.host, seed.port))
        for seed in due[_AT_ONCE:]:
            seed.next_try = now + _FIRST_PAUSE
