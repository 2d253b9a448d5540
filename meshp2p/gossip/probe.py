"""Whom to probe next, and which probes wait for an answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from random import Random
from typing import Literal, TypeAlias

import attrs

from meshp2p.gossip.accusation import TIMEOUT, Evidence
from meshp2p.gossip.pool import Pool
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

Stage: TypeAlias = Literal["direct", "indirect", "last", "again"]
"""`last`: there is evidence of death already, and this question decides. `again`: it has
been asked a second time, because a packet may be lost."""


@attrs.define
class ProbeOrder:
    """Round-robin in an order that chance makes anew in each pass.

    Each pass draws without putting back: a member is probed again after at most 2n - 1
    probes, and one that joins in the middle of a pass comes up somewhere in what is left
    of it. Nobody pays for shuffling a long list at once.

    Source: Das, Gupta, Motivala, "SWIM" (2002), section 4.3.
    """

    _pool: Pool = attrs.field(factory=Pool, init=False)
    _drawn: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._pool)

    def add(self, node_id: NodeId) -> None:
        """Let it come up later in this pass."""
        self._pool.add(node_id)

    def next(self, rng: Random, live: Pool) -> NodeId | None:
        """The next one of the live; None if there are none. Forgets whoever is not live."""
        while self._pool:
            if self._drawn >= len(self._pool):
                self._drawn = 0
            self._pool.swap(self._drawn, rng.randrange(self._drawn, len(self._pool)))
            node_id = self._pool[self._drawn]
            if node_id in live:
                self._drawn += 1
                return node_id
            self._pool.discard(node_id)  # undrawn takes the place of undrawn
        return None


@attrs.define(kw_only=True)
class Probe:
    """One question under way.

    Args:
        version: Of the target when it was asked: a newer one would be an answer too.
        evidence: Why this is the last one.
        refused: Whether the machine refused it, or says so.
        helpers: Members asked to pass it on.
        nacks: Those that did, and heard nothing either: so they hear us, and we hear them.
    """

    seq: int
    target: NodeId
    version: tuple[int, int]
    sent_at: Seconds
    stage: Stage = "direct"
    evidence: Evidence = TIMEOUT
    refused: bool = False
    helpers: tuple[NodeId, ...] = ()
    nacks: set[NodeId] = attrs.field(factory=set)

    @property
    def unheard(self) -> int:
        """Helpers of which nothing came: perhaps it is us who cannot hear."""
        return len(self.helpers) - len(self.nacks)

    @property
    def decides(self) -> bool:
        """Whether there was evidence of death when it was asked."""
        return self.stage in ("last", "again")


@attrs.define
class Probes:
    """Questions under way, at most one per member, and those given up lately.

    Args:
        _seq: Number of the last question; never used again, so no answer is mistaken.
    """

    _seq: int
    _waiting: dict[int, Probe] = attrs.field(factory=dict, init=False)
    _by_target: dict[NodeId, Probe] = attrs.field(factory=dict, init=False)
    _given_up: OrderedDict[int, Probe] = attrs.field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """How many wait for an answer."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Probe]:
        """Those that wait for an answer."""
        return iter(list(self._waiting.values()))

    def ask(self, target: NodeId, version: tuple[int, int], now: Seconds) -> Probe:
        """Begin one; whatever was asked of the same member before is given up."""
        before = self._by_target.get(target)
        if before is not None:
            self.give_up(before)
        self._seq += 1
        probe = Probe(seq=self._seq, target=target, version=version, sent_at=now)
        self._waiting[probe.seq] = probe
        self._by_target[target] = probe
        return probe

    def waiting(self, seq: int) -> Probe | None:
        """The probe of this number, if it still waits."""
        return self._waiting.get(seq)

    def of(self, target: NodeId) -> Probe | None:
        """What is being asked of a member."""
        return self._by_target.get(target)

    def answered(self, target: NodeId, seq: int) -> Probe | None:
        """The probe that this answers, however late; None if it answers none of ours."""
        probe = self._waiting.get(seq) or self._given_up.get(seq)
        if probe is None or probe.target != target:
            return None
        self._remove(probe)
        self._given_up.pop(seq, None)
        return probe

    def give_up(self, probe: Probe) -> None:
        """Wait no longer; a late answer is still welcome."""
        self._remove(probe)
        self._given_up[probe.seq] = probe
        if len(self._given_up) > limits.MAX_LATE_PROBES:
            self._given_up.popitem(last=False)

    def _remove(self, probe: Probe) -> None:
        self._waiting.pop(probe.seq, None)
        if self._by_target.get(probe.target) is probe:
            del self._by_target[probe.target]
