"""What members tell each other with every probe: that they are there, and what they know."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from meshp2p.gossip.antientropy import AntiEntropy
from meshp2p.gossip.clocks import Clocks
from meshp2p.gossip.detector import Detector
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import Ack, LineItem, Message, Nack, Ping, Repairing, Unknown
from meshp2p.gossip.outputs import SyncWith
from meshp2p.gossip.own import OwnRecord
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.repair import Repair
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.codec import Value


@attrs.define
class Conversation:
    """Answers questions, hears answers, and looks into views that differ.

    Args:
        _own: None for a guest, which says nothing.
        load: Calls running here, told with each ack.
    """

    _parts: Parts
    _detector: Detector
    _entropy: AntiEntropy
    _repair: Repair
    _own: OwnRecord | None
    _clocks: Clocks
    load: int = attrs.field(default=0, init=False)

    @property
    def has_left(self) -> bool:
        """Whether this node has said goodbye: it answers, and asks nothing any more."""
        return self._own is not None and self._own.has_left

    def receive(
        self, peer: NodeId, row: Row | None, messages: Sequence[Message], now: Seconds, room: int
    ) -> None:
        """Answer at once: no signature is checked here.

        Args:
            row: The peer's; None for a stranger.
            room: Bytes of an answer.
        """
        asked = False
        for message in messages:
            if isinstance(message, Ping):
                if not asked:  # one datagram, one answer
                    self._answer(peer, row, message, now, room)
                asked = True
            elif isinstance(message, Ack):
                self._hear(peer, row, message, now, room)
            elif isinstance(message, Nack):
                self._detector.nacked(peer, message.target)
            elif isinstance(message, Unknown):
                self._parts.counters["items_unknown"] += 1

    def receive_repairs(
        self, peer: NodeId, repairing: Sequence[Repairing], now: Seconds, room: int
    ) -> None:
        """What was said to compare views; not by tunnel, which has no room for a digest."""
        if not self.has_left and room == limits.MAX_PLAINTEXT:
            self._repair.receive(peer, repairing, now)

    def _answer(self, peer: NodeId, row: Row | None, ping: Ping, now: Seconds, room: int) -> None:
        if row is not None:
            row.view_hash = ping.view_hash
        clock = max(0, int(self._parts.wall.unix(now)))
        ack = Ack(ping.seq, self._parts.view.hash, self.load, clock)
        self._parts.send(peer, ack.wire(), *self._lease_for(row), room=room)
        self._compare(peer, row, ping.view_hash, now, room)

    def _hear(self, peer: NodeId, row: Row | None, ack: Ack, now: Seconds, room: int) -> None:
        if row is not None:
            row.load = ack.load
            took = self._detector.answered(row, ack.seq, now, direct=room == limits.MAX_PLAINTEXT)
            if took is not None and ack.clock is not None:
                self._clocks.hear(row, ack.clock, took, now)
        self._compare(peer, row, ack.view_hash, now, room)

    def _lease_for(self, row: Row | None) -> list[list[Value]]:
        """Our newest line, once for each member that gossip does not bring it to."""
        if row is None or self._own is None or not self._own.has_longer_lease:
            return []
        line = self._own.record.line
        if row.leased == line.valid_until:
            return []
        row.leased = line.valid_until
        return [LineItem(line.raw).wire()]

    def _compare(self, peer: NodeId, row: Row | None, theirs: int, now: Seconds, room: int) -> None:
        """Look into a lasting difference; not by tunnel, which has no room for a digest."""
        if self.has_left:
            return
        direct = room == limits.MAX_PLAINTEXT
        if row is None:
            self._parts.pull(peer, peer, now)
            if direct:
                self._repair.ask_who(peer, now)
            return
        row.view_hash = theirs
        ours = self._parts.view.hash
        differs = (
            direct
            and row.is_live
            and self._entropy.observe(peer, theirs=theirs, ours=ours, now=now)
        )
        if differs and self._entropy.wants_everything:
            self._parts.put(SyncWith(peer))
        elif differs:
            self._repair.compare(peer, now)
