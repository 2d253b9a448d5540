"""What a node does unasked: probe, gossip, look after the lost and the expired."""

from __future__ import annotations

from math import ceil, inf
from typing import Final

import attrs

from meshp2p.gossip.antientropy import AntiEntropy
from meshp2p.gossip.detector import PROBE, SUSPICION, Detector
from meshp2p.gossip.digest import BUCKETS
from meshp2p.gossip.dissemination import Told
from meshp2p.gossip.intake import Intake
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import Datagram, LineItem
from meshp2p.gossip.outputs import SendPlain
from meshp2p.gossip.own import RENEW, OwnRecord
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.refutation import REFUTE, Refutation
from meshp2p.gossip.repair import Repair
from meshp2p.ids import NodeId, Seconds

_TICK: Final = "tick"
_GOSSIP: Final = "gossip"
_LOST: Final = "lost"
_SWEEP: Final = "sweep"
_WORK: Final = "work"
_DOUBT: Final = "doubt"
_DIGEST: Final = "digest"

_BURST: Final = 4
"""Datagrams to one member in one round of gossip, as long as there is news for them."""
_WORK_PAUSE: Final = 0.001
"""Seconds between slices of signature checks: acks are answered in between."""
_SWEEP_INTERVAL: Final = 60.0
_RENEW_BEFORE: Final = 3_600.0
"""A chain that ends within these seconds is asked for again."""
_RENEW_PAUSE: Final = 300.0
_SHOW_EVERY: Final[Seconds] = 60.0
"""Pause, on average, between two buckets that are listed in full."""
_CALLS: Final = 4
"""To one that is lost, in an interval, by all of a larger mesh."""
_CALLED_AT_MOST: Final = 8
"""Lost ones, in an interval, by one node: each call is a handshake that is tried some times."""
_LONGEST: Final = 1.5
"""A pause is jittered by half of it, so that nodes do not call in step."""
_LEASE_ROUNDS: Final = 16
"""All leases are looked at so often within one validity."""


@attrs.define
class Rounds:
    """All timers of one node's membership: who sets them, and what they do.

    Args:
        _own: None for a guest, as is `_refutation`.
    """

    _parts: Parts
    _detector: Detector
    _intake: Intake
    _entropy: AntiEntropy
    _repair: Repair
    _own: OwnRecord | None
    _refutation: Refutation | None
    _last_round: Seconds = attrs.field(default=-inf, init=False)

    def leave(self, now: Seconds, farewells: int) -> None:
        """Plan nothing any more, but say goodbye, to so many members at once.

        These do not count as rounds of gossip, of which a small mesh has too few to reach
        everybody: whoever is missed would soon take the closed port for a death.
        """
        parts = self._parts
        parts.timers.clear()
        if self._own is None:
            return
        record = self._own.record
        parts.news.drop_line(record.line.node_id)
        for peer in parts.view.live.sample(parts.rng, farewells):
            parts.send(peer, LineItem(record.line.raw).wire())
        parts.news.put_line(record)
        self._last_round = now

    def perform(self, now: Seconds) -> None:
        """Do all that is due; what is planned afterwards is later than `now`."""
        while self._parts.timers.soonest <= now:
            while (key := self._parts.timers.pop_due(now)) is not None:
                self._due(key, now)
            self.arm(now)

    def arm(self, now: Seconds) -> None:
        """Set the timers of whatever there is to do. All that wakes an idle node is here."""
        parts = self._parts
        if self._intake:
            self._start(_WORK, now + _WORK_PAUSE)
        if self._own is None:
            return
        if parts.news and parts.view.live:
            self._start(_GOSSIP, max(now, self._last_round + parts.config.gossip_interval))
        if not self._own.has_left:
            self._arm_watch(now)

    def _arm_watch(self, now: Seconds) -> None:
        parts = self._parts
        config, view, random = parts.config, parts.view, parts.rng.random
        if view.live:
            self._start(_TICK, now + config.probe_interval * random())
            self._start(_DIGEST, now + config.digest_interval * (0.5 + random()))
        if view.has_lost:
            self._arm_search(now)
        if view.dead or view.left:
            self._start(_SWEEP, now + _SWEEP_INTERVAL)
        ask_at = self._entropy.ask_at
        if ask_at is not None and parts.timers.get(_DOUBT) != ask_at:
            parts.timers.set(_DOUBT, ask_at)

    def _arm_search(self, now: Seconds) -> None:
        """Plan the next call to somebody lost; sooner, if more are lost by now, or fewer here.

        All together call each of them a few times in an interval. So nobody calls oftener in
        a crowd, where one that hears an answer tells the others; and whoever is alone, or
        nearly so, calls each in its turn without waiting for long.
        """
        parts = self._parts
        share = max(1.0, parts.view.population / _CALLS) / parts.view.lost_count
        pause = parts.config.lost_retry_interval * max(share, 1 / _CALLED_AT_MOST)
        planned = parts.timers.get(_LOST)
        if planned is None or planned > now + _LONGEST * pause:
            parts.timers.set(_LOST, now + pause * (_LONGEST - parts.rng.random()))

    def _start(self, key: str, at: Seconds) -> None:
        timers = self._parts.timers
        if key not in timers.planned:
            timers.set(key, at)

    def _due(self, key: object, now: Seconds) -> None:
        match key:
            case (kind, int(seq)) if kind == PROBE:
                self._detector.expire_probe(seq, now)
            case (kind, bytes(node_id)) if kind == SUSPICION:
                self._detector.expire_suspicion(NodeId(node_id), now)
            case "tick":
                self._tick(now)
            case "gossip":
                self._gossip(now, self._parts.config.gossip_fanout)
            case "work":
                self._intake.work(now)
            case _:
                self._seldom_due(key, now)

    def _seldom_due(self, key: object, now: Seconds) -> None:
        if key == REFUTE and self._refutation is not None:
            self._refutation.due(now)
        elif key == RENEW and self._own is not None:
            self._own.renew(now)
        elif key == _DIGEST:
            self._compare(now)
        elif key == _DOUBT:
            self._ask_again(now)
        elif key == _LOST:
            lost = self._parts.view.draw_lost(self._parts.rng)
            if lost is not None:
                self._detector.call_out(lost, now)
        elif key == _SWEEP:
            self._parts.forget_expired(now)

    def _tick(self, now: Seconds) -> None:
        """One protocol period: probe one member, and keep its record fresh."""
        row = self._detector.probe_next(now)
        if row is None:
            return
        # From now, not from when it was due: after a stall the missed ticks are gone.
        pause = self._parts.config.probe_interval * self._parts.health.factor
        self._parts.timers.set(_TICK, now + pause)
        if now >= row.pulled_at + _RENEW_PAUSE and self._is_ageing(row, now):
            row.pulled_at = now
            self._parts.pull(row.id, row.id, now)

    def _is_ageing(self, row: Row, now: Seconds) -> bool:
        """Whether a newer line or chain must exist by now, which did not get here."""
        unix = self._parts.wall.unix(now)
        chain_ends = row.record.transport_not_after
        return row.record.valid_until < unix or 0 < chain_ends < unix + _RENEW_BEFORE

    def _ask_again(self, now: Seconds) -> None:
        """Ping the peer whose view differed: its ack shows whether it still does."""
        peer = self._entropy.whom_to_ask(self._parts.view.live, now)
        row = None if peer is None else self._parts.view.get(peer)
        if row is not None and row.is_live:
            self._detector.probe(row, now)

    def _compare(self, now: Seconds) -> None:
        """Compare views with a random member even if their hashes agree: one may be forged."""
        parts, config = self._parts, self._parts.config
        for peer in parts.view.live.sample(parts.rng, 1):
            self._repair.compare(peer, now)
            if parts.rng.random() * _SHOW_EVERY < config.digest_interval:
                self._repair.show_bucket(peer, now)
            share = config.digest_interval * _LEASE_ROUNDS / config.line_validity
            self._repair.ask_for_leases(peer, now, min(ceil(BUCKETS * share), BUCKETS))

    def _gossip(self, now: Seconds, fanout: int) -> None:
        """Tell a few members what is new, each at most `_BURST` datagrams of it."""
        parts = self._parts
        self._last_round = now
        for peer in parts.view.live.sample(parts.rng, fanout):
            told: Told = set()
            for _ in range(_BURST):
                datagram, before = Datagram(), len(told)
                for item in () if told else parts.about(peer):
                    datagram.add(item)
                knows_all = parts.knows_all(peer)
                parts.news.fill(datagram, parts.view.population, told, knows_all=knows_all)
                if len(told) == before or not datagram:
                    break
                parts.put(SendPlain(peer, datagram.encode()))
