"""What every part of one node's membership works with."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final, Literal

import attrs

from meshp2p.config import Config
from meshp2p.events import Log, MemberEvent, MemberEventName
from meshp2p.gossip.accusation import TIMEOUT, Accusation, Evidence
from meshp2p.gossip.dissemination import Dissemination
from meshp2p.gossip.evidence import EvidenceLog
from meshp2p.gossip.health import Health
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import Datagram, LineItem, RecordItem, SuspicionItem
from meshp2p.gossip.outputs import Output, Pull, SendPlain, Tell
from meshp2p.gossip.record import Record
from meshp2p.gossip.reputation import Reputation
from meshp2p.gossip.timers import Timers, WallClock
from meshp2p.gossip.view import View
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import NodeId, Seconds, show_id
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

_DEPARTED_AT_ONCE: Final = 64
"""Departed members looked at for lines that have expired."""
_COUNTED: Final[dict[MemberEventName, str]] = {
    "member.suspected": "suspicions",
    "member.failed": "deaths",
}


@attrs.define(kw_only=True)
class Parts:
    """The view, the clocks, the queue of news and the way out, shared by all parts.

    Args:
        guest: Sends nothing and has no record: it only looks.
        settled: Whether this node has learnt who there is: from then on it passes on what
            it learns by syncs too, and others may learn from it.
        counters: What strangers and members did that deserves a number.
    """

    config: Config
    crypto: Crypto
    identity: NodeIdentity
    rng: Random
    wall: WallClock
    view: View
    news: Dissemination
    guest: bool = False
    settled: bool = attrs.field(default=False, init=False)
    timers: Timers = attrs.field(factory=Timers, init=False)
    health: Health = attrs.field(init=False)
    reputation: Reputation = attrs.field(factory=Reputation, init=False)
    counters: Counter[str] = attrs.field(factory=Counter, init=False)
    evidence: EvidenceLog = attrs.field(factory=EvidenceLog, init=False)
    _outputs: list[Output] = attrs.field(factory=list, init=False)
    _pulls: dict[NodeId, list[NodeId]] = attrs.field(factory=dict, init=False)
    _renewed: int = attrs.field(default=0, init=False)
    _renewed_at: Seconds = attrs.field(default=0.0, init=False)
    _pulled: OrderedDict[NodeId, Seconds] = attrs.field(factory=OrderedDict, init=False)

    def __attrs_post_init__(self) -> None:
        """Doubt oneself only where that is asked for."""
        self.health = Health(self.config.health_max if self.config.lifeguard else 0)

    def put(self, output: Output) -> None:
        """Ask something of the engine."""
        self._outputs.append(output)

    def drain(self) -> list[Output]:
        """What was asked for since the last call, in order; pulls are joined by peer."""
        if not (self._outputs or self._pulls):
            return []
        outputs, self._outputs = self._outputs, []
        for peer, ids in self._pulls.items():
            outputs += [Pull(peer, tuple(some)) for some in _batches(ids, limits.MAX_PULLS)]
        self._pulls = {}
        return outputs

    def send(self, to: NodeId, *items: list[Value], room: int = limits.MAX_PLAINTEXT) -> None:
        """Send these items, and with them whatever else the recipient should hear.

        What concerns the recipient itself goes first, so that a suspected member is the
        first to know (Lifeguard's "buddy system").
        """
        if self.guest:
            return
        row = self.view.get(to)
        if not self.news and (row is None or row.state == "alive"):
            plaintext = codec.pack(items)
            if len(plaintext) <= room:  # nothing to choose: as it is with most probes and acks
                self._outputs.append(SendPlain(to, plaintext))
                return
        datagram = Datagram(room)
        for item in (*items, *self.about(to)):
            datagram.add(item)
        self._fill(datagram, to)
        self._outputs.append(SendPlain(to, datagram.encode()))

    def send_all(self, to: NodeId, items: Iterable[list[Value]]) -> int:
        """Send these items in as many datagrams as it takes; return how many bytes they have."""
        if self.guest:
            return 0
        plaintexts: list[bytes] = []
        datagram = Datagram()
        for item in items:
            if not datagram.add(item):
                plaintexts.append(datagram.encode())
                datagram = Datagram()
                datagram.add(item)
        if datagram:
            self._fill(datagram, to)
            plaintexts.append(datagram.encode())
        self._outputs += [SendPlain(to, plaintext) for plaintext in plaintexts]
        return sum(map(len, plaintexts))

    def knows_all(self, node_id: NodeId) -> bool:
        """Whether a member's view was, when it last told of it, what ours is now."""
        row = self.view.get(node_id)
        return row is not None and row.view_hash == self.view.hash

    def _fill(self, datagram: Datagram, to: NodeId) -> None:
        self.news.fill(datagram, self.view.population, knows_all=self.knows_all(to))

    def present(self, record: Record, to: NodeId) -> None:
        """Tell somebody of a member that is new to it; if that fits, so that it need not ask."""
        self.send(to, whole_if_it_fits(record))

    def about(self, node_id: NodeId) -> list[list[Value]]:
        """What this node believes of a member and the member should object to, if it can."""
        row = self.view.get(node_id)
        if row is None or row.state == "alive":
            return []
        if row.state == "suspect" and not self.config.lifeguard:
            return []
        if row.state == "left":
            return [LineItem(row.record.line.raw).wire()]
        return [] if row.accusation is None else [SuspicionItem(row.accusation).wire()]

    def pull(self, peer: NodeId | None, wanted: NodeId, now: Seconds) -> None:
        """Ask a peer for somebody's record, unless somebody was asked for it just now."""
        asked_at = self._pulled.get(wanted)
        again = self.config.ack_timeout + self.config.indirect_timeout
        if peer is None or self.guest or (asked_at is not None and now < asked_at + again):
            return
        self._pulled[wanted] = now
        self._pulled.move_to_end(wanted)
        if len(self._pulled) > limits.MAX_PULLS:
            self._pulled.popitem(last=False)
        self._pulls.setdefault(peer, []).append(wanted)

    def was_pulled(self, node_id: NodeId) -> bool:
        """Whether its record is here because this node asked for it; says so once."""
        return self._pulled.pop(node_id, None) is not None

    def forget_expired(self, now: Seconds) -> None:
        """Forget some of the departed whose lines nobody would believe any more."""
        unix, tolerance = self.wall.unix(now), self.config.clock_tolerance
        for row in self.view.expired(unix, tolerance, self.rng, _DEPARTED_AT_ONCE):
            self.view.forget(row)

    def name_of(self, node_id: NodeId) -> str:
        """A member's handle, or the beginning of its id."""
        row = self.view.get(node_id)
        return (row.record.body.handle if row else "") or show_id(node_id)[:8]

    def accuse(self, row: Row, evidence: Evidence, now: Seconds) -> Accusation:
        """Sign that this node could not reach a member."""
        accusation = self._accusation(row, evidence, now)
        self.evidence.accused(accusation)
        self.counters["accusations"] += 1
        return accusation

    def listed(self, row: Row) -> list[Value]:
        """A member as lists show it, and what speaks against it in words that count now."""
        self._renew_accusation(row)
        return row.listed()

    def doubts(self, row: Row) -> list[list[Value]]:
        """Why a member is thought to be gone, if it is: the signed word of whoever says so."""
        self._renew_accusation(row)
        if row.state not in ("suspect", "dead") or row.accusation is None:
            return []
        return [SuspicionItem(row.accusation).wire()]

    def _renew_accusation(self, row: Row) -> None:
        """Accuse somebody dead anew, if all that speaks against it is soon too old to count.

        Nobody believes what was said long ago, so whoever joins then would take the dead for
        alive until it had asked each itself. So many are signed within one input; the others
        are, when their listing is asked for again.
        """
        now = self.evidence.now
        if row.state != "dead" or self.guest or row.id == self.identity.node_id:
            return
        said = None if row.accusation is None else Accusation.from_bytes_untrusted(row.accusation)
        if said and self.wall.unix(now) - said.unix < self.config.clock_tolerance:
            return
        if now != self._renewed_at:
            self._renewed_at, self._renewed = now, 0
        if self._renewed < limits.SIGNATURES_PER_INPUT:
            self._renewed += 1
            row.accusation = self._accusation(row, TIMEOUT, now).raw

    def _accusation(self, row: Row, evidence: Evidence, now: Seconds) -> Accusation:
        return Accusation.signed(
            self.crypto,
            self.identity.node_private,
            self.identity.keys.group_id,
            subject=row.id,
            version=row.version,
            accuser=self.identity.node_id,
            unix=int(self.wall.unix(now)),
            evidence=evidence,
        )

    def tell(self, name: MemberEventName, row: Row, reason: str = "") -> None:
        """Tell the application about a member's change of state."""
        self.evidence.changed(row.id, name, reason)
        if name in _COUNTED:
            self.counters[_COUNTED[name]] += 1
        self.put(Tell(MemberEvent(name, row.member(), reason)))

    def log(
        self, level: Literal["debug", "info", "warning", "error"], text: str, **fields: object
    ) -> None:
        """Write to the log."""
        self.put(Tell(Log(level, text, tuple(fields.items()))))


def whole_if_it_fits(record: Record) -> list[Value]:
    """The record as an item; its line alone if a datagram cannot hold all of it."""
    line = record.line.raw
    whole = RecordItem(line, record.body_raw, record.chain).wire()
    return whole if Datagram().add(whole) else LineItem(line).wire()


def _batches(ids: list[NodeId], size: int) -> Iterator[list[NodeId]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
