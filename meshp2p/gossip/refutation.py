"""Defending this node's own good name."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.gossip.messages import LineItem
from meshp2p.gossip.own import OwnRecord
from meshp2p.gossip.parts import Parts
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

REFUTE: Final = "refute"
"""Timer: answer whoever spoke of this node."""

_LONGEST_PAUSE: Final = 60.0
"""Seconds. Two nodes with one key supersede each other for ever, but not often."""


@attrs.define
class Refutation:
    """Answers those who suspect this node, or who hold a newer line of it than it does.

    All that is said within a quarter of a probe interval gets one answer, and one new line
    within a whole one: nobody can make this node sign, and others spread, faster than that.
    """

    _parts: Parts
    _own: OwnRecord
    _waiting: dict[NodeId, None] = attrs.field(factory=dict, init=False)
    _accusers: set[NodeId] = attrs.field(factory=set, init=False)
    """Who suspects the present version; it is refuted soon, and they are forgotten."""
    _shown: tuple[int, int] | None = attrs.field(default=None, init=False)
    _not_before: Seconds = attrs.field(default=0.0, init=False)
    _superseded: int = attrs.field(default=0, init=False)

    @property
    def own_version(self) -> tuple[int, int]:
        """(epoch, seq) that this node stands by."""
        return self._own.version

    def misinformed(self, peer: NodeId | None, now: Seconds) -> None:
        """A peer speaks of an older version: show it the newest, again if need be."""
        self._answer(peer, now)

    def may_hear(self, accuser: NodeId) -> bool:
        """Whether an accusation of the present version would be news, as `Detector.may_hear`."""
        return accuser not in self._accusers and len(self._accusers) < limits.MAX_SUSPICIONS

    def suspected(self, accuser: NodeId, peer: NodeId | None, now: Seconds) -> None:
        """A member suspects the present version: only a newer one can refute that."""
        self._accusers.add(accuser)
        self._answer(peer, now)

    def shown(self, version: tuple[int, int], peer: NodeId | None, now: Seconds) -> None:
        """A peer holds a line of ours, signature verified, that this run did not sign."""
        self._shown = max(version, self._shown or version)
        self._answer(peer, now)

    def due(self, now: Seconds) -> None:
        """Answer everybody at once."""
        pause = self._parts.config.probe_interval / 4
        if self._shown is not None and self._shown >= self._own.version:
            pause = self._supersede(self._shown, now)
        elif self._accusers:
            self._doubt(now)
            self._own.refute(now)
            pause = self._parts.config.probe_interval
        self._not_before = now + pause
        line = LineItem(self._own.record.line.raw).wire()
        for peer in self._waiting:
            self._parts.send(peer, line)
        self._waiting, self._shown = {}, None
        self._accusers.clear()

    def _doubt(self, now: Seconds) -> None:
        """Somebody could not reach us: is it us? Not for whoever says so of everybody.

        Each was wrong: the more often it is, the less does its word count here.
        """
        reputation, population = self._parts.reputation, self._parts.view.population
        # All are asked before any is charged: they speak of one and the same moment.
        trusted = [one for one in self._accusers if reputation.trusts(one, population, now)]
        for accuser in sorted(self._accusers):
            reputation.refuted(accuser, now)
        if trusted:
            self._parts.health.worse()
        else:
            self._parts.counters["accusers_distrusted"] += 1

    def _supersede(self, shown: tuple[int, int], now: Seconds) -> Seconds:
        """Become the newest again; once is a restart with a slow clock, more is a clone."""
        self._superseded += 1
        if self._superseded > 1:
            self._parts.counters["clones"] += 1
            me = self._parts.identity.node_id
            self._parts.evidence.note(me, "cloned", "two processes sign with its key")
            self._parts.log(
                "error",
                "another process signs with this node's key",
                times=self._superseded,
                version=shown,
            )
        if not self._own.has_left:
            self._own.supersede(shown, now)
        pause = self._parts.config.probe_interval / 4
        return min(pause * 2.0 ** min(self._superseded, 20), _LONGEST_PAUSE)

    def _answer(self, peer: NodeId | None, now: Seconds) -> None:
        if peer is not None and len(self._waiting) < limits.MAX_REFUTED:
            self._waiting[peer] = None
        if self._parts.timers.get(REFUTE) is None:
            self._parts.timers.set(REFUTE, max(now, self._not_before))
