"""Finding the first member: seeds, members of earlier runs, entries of the local directory.

All are tried for ever, a few at a time, with pauses that grow from half a second to half
a minute, so that a mesh that was torn apart finds together again without anybody's help.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, Literal

import attrs

from meshp2p.effects import Resolve
from meshp2p.engine.acquaintances import Acquaintances
from meshp2p.engine.core import Core
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport.path import Route

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
    said: Literal["nothing", "missing", "found"] = "nothing"
    numeric: Address | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Numbers need not be looked up."""
        self.numeric = None
        with contextlib.suppress(ValueError):
            self.numeric = Address(str(ipaddress.ip_address(self.host)), self.port)

    def __str__(self) -> str:
        return str(Address(self.host, self.port))


class Joining:
    """Which seed is tried when."""

    def __init__(
        self,
        core: Core,
        seeds: tuple[tuple[str, int], ...],
        *,
        acquaintances: Acquaintances,
        visit: Callable[[Address, Seconds, Callable[[bool], None]], None],
        knows: Callable[[Address], bool],
        is_present: Callable[[NodeId], bool],
        is_alone: Callable[[], bool],
        now: Seconds,
    ) -> None:
        """Visit seeds with `visit` unless `knows` says that a member is there.

        Args:
            seeds: (host name or numeric address, port).
            acquaintances: Whom earlier runs met.
            is_present: Whether somebody is a member and not gone.
            is_alone: Whether nobody else is.
            visit: Ends in a call that says whether anybody of this mesh answered.
        """
        self._core = core
        self._seeds = [_Seed(host, port, next_try=now) for host, port in seeds]
        self._next_seed: Seconds = now if seeds else inf
        self._visit = visit
        self._knows = knows
        self._is_present = is_present
        self._is_alone = is_alone
        self._acquaintances = acquaintances
        old = sorted(acquaintances.before.items())
        if old:
            core.rng.shuffle(old)
        self._old = deque(old)
        self._unvisited = len(self._old)
        """Of whom nothing was tried yet in this pass."""
        self._old_pause = _FIRST_PAUSE
        self._next_round: Seconds = now if self._old else inf

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
                    self._missing(seed, "a seed's name cannot be resolved; trying again", host=host)
                strange = [a for a in addresses[:_AT_ONCE] if not self._knows(a)]
                silent: set[Address] = set()
                for address in strange:
                    told = partial(self._visited, seed, address, silent, len(strange))
                    self._visit(address, now, told)

    def _visited(
        self,
        seed: _Seed,
        address: Address,
        silent: set[Address],
        of: int,
        answered: bool,  # noqa: FBT001  # called by position
    ) -> None:
        """One of a seed's addresses answered, or did not; all `of` them make a failure."""
        if answered:
            self._found(seed)
            return
        silent.add(address)
        if len(silent) == of and not any(self._knows(other) for other in seed.addresses):
            self._missing(seed, f"nobody of this mesh answers at {seed}; trying again")

    def _missing(self, seed: _Seed, text: str, **fields: str) -> None:
        """The first failure is told, retries are not."""
        if seed.said == "nothing":
            seed.said = "missing"
            self._core.log("warning", text, **fields)

    def _found(self, seed: _Seed) -> None:
        if seed.said == "missing":
            seed.said = "found"
            self._core.log("info", f"{seed} answers now")

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return min(self._next_seed, self._next_round, self._acquaintances.due)

    def receive_deadline(self, *, now: Seconds) -> None:
        """Try whose pause is over; write down whom we met."""
        if now >= self._acquaintances.due:
            self._acquaintances.write(now)
        if now >= self._next_seed:
            self._try_seeds(now)
        if now >= self._next_round:
            self._visit_old(now)

    def leave(self, now: Seconds) -> None:
        """Write down whom we met, while we still know."""
        self._acquaintances.write(now)

    def members_changed(self, now: Seconds) -> None:
        """Somebody came, changed or went."""
        self._acquaintances.members_changed(now)

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> None:
        """What was written is on disk, or never will be."""
        self._acquaintances.receive_persisted(token, ok=ok, now=now)

    def _visit_old(self, now: Seconds) -> None:
        """Visit the next few of whom earlier runs met.

        Once all were tried and somebody is there, this ends: whoever is missing then is
        looked for by the mesh, as everybody who is lost.
        """
        visited = 0
        while visited < _AT_ONCE and self._unvisited:
            self._unvisited -= 1
            node_id, addresses = self._old[0]
            self._old.rotate(-1)
            strange = [
                address
                for address in addresses[:_AT_ONCE]
                if not (self._knows(address) or self._is_seed(address))
            ]
            if self._is_present(node_id) or not strange:
                continue
            visited += 1
            for address in strange:
                self._visit(address, now, _never_mind)
        if not self._unvisited:
            self._unvisited = len(self._old)
            if not self._is_alone():
                self._next_round = inf
                return
        self._next_round = now + self._old_pause * self._core.rng.uniform(0.75, 1.25)
        self._old_pause = min(2 * self._old_pause, _LONGEST_PAUSE)

    def _is_seed(self, address: Address) -> bool:
        """Whether it is visited anyway."""
        return any(address in seed.addresses or address == seed.numeric for seed in self._seeds)

    def _try_seeds(self, now: Seconds) -> None:
        """Try seeds whose pause is over; a seed that is a member rests."""
        due = [seed for seed in self._seeds if seed.next_try <= now]
        for seed in due[:_AT_ONCE]:
            jitter = self._core.rng.uniform(0.75, 1.25)
            seed.next_try = now + seed.pause * jitter
            seed.pause = min(2 * seed.pause, _LONGEST_PAUSE)
            if any(self._knows(address) for address in seed.addresses):
                seed.pause = _LONGEST_PAUSE
                self._found(seed)
                continue
            seed.resolving = True
            if seed.numeric is None:
                self._core.emit(Resolve(seed.host, seed.port))
            else:  # there is nothing to look up
                self.receive_resolved(seed.host, seed.port, (seed.numeric,), now=now)
        for seed in due[_AT_ONCE:]:
            seed.next_try = now + _FIRST_PAUSE
        self._next_seed = min(seed.next_try for seed in self._seeds)


def _never_mind(_answered: bool) -> None:  # noqa: FBT001  # called by position
    """Seeds that do not answer are told of; old acquaintances may well be gone."""
