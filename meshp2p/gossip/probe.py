"""Questions to members: which of them wait for an answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal, TypeAlias

import attrs

from meshp2p.gossip.accusation import TIMEOUT, Evidence
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

Stage: TypeAlias = Literal["direct", "indirect", "last", "again"]
"""`last`: there is evidence of death already, and this question decides. `again`: it has
been asked a second time, because a packet may be lost."""


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
