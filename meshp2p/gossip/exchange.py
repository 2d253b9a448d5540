"""What members tell each other by stream: whole lists, greetings, and what a comparison lacked."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from meshp2p.errors import WireError
from meshp2p.gossip.admission import Admission
from meshp2p.gossip.antientropy import AntiEntropy
from meshp2p.gossip.census import Census
from meshp2p.gossip.conversation import Conversation
from meshp2p.gossip.detector import Detector
from meshp2p.gossip.fields import array, binary
from meshp2p.gossip.intake import Intake
from meshp2p.gossip.messages import SuspicionItem, mask_untrusted, record_untrusted
from meshp2p.gossip.outputs import SyncWith
from meshp2p.gossip.record import VersionLine
from meshp2p.gossip.repair import Repair
from meshp2p.gossip.rounds import Rounds
from meshp2p.gossip.rows import Crowd
from meshp2p.gossip.welcome import Greeting, Welcome
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.codec import Value


class Exchange(Census):
    """The half of `Swim` that is asked, and answered, with many records at once."""

    _admission: Admission
    _conversation: Conversation
    _detector: Detector
    _entropy: AntiEntropy
    _intake: Intake
    _repair: Repair
    _rounds: Rounds
    _welcome: Welcome
    _forgiven: Seconds | None = None

    def merge_untrusted(
        self, records: Sequence[Value], peer: NodeId | None, *, now: Seconds
    ) -> None:
        """Records from a full sync or a pull, as `sync_payload` lists them.

        Args:
            peer: Who sent them; None if they were kept on disk.
        """
        self._begin(now)
        self._intake.begin_merge()
        accusations = []
        for number, value in enumerate(records[: limits.MAX_MEMBERS]):
            if not self._admission.listens_to(peer, now):
                self._parts.counters["claims_refused"] += len(records) - number
                break
            try:
                self._intake.merge(record_untrusted(value), peer)
            except WireError:
                self._parts.counters["records_malformed"] += 1
                self._admission.unreadable(peer, now)
                continue
            match value:
                case [_, _, _, bytes(accusation), *_] if accusation:
                    accusations.append(SuspicionItem(accusation))
        if self._parts.guest:
            self._told_dead = _dead_among(records)
        for claim in accusations:  # whoever accuses is known by then
            self._intake.merge(claim, peer)
        self._intake.work(now)
        self._rounds.arm(now)

    def synced_with(self, peer: NodeId, *, now: Seconds) -> None:
        """The peer's last record has been handed over; tell it about this node."""
        self._begin(now)
        if not self._parts.settled:
            self._entropy.greeted(peer, now)
        self._intake.end_sync(peer)
        self._intake.work(now)
        if self._own is not None:
            self._parts.present(self._own.record, peer)
        self._rounds.arm(now)

    def begin_with(self, crowd: Crowd, peer: NodeId, *, told: bool, now: Seconds) -> None:
        """Know all of a crowd to which this node belongs, as after a sync with `peer`.

        For meshes that begin acquainted: nothing is checked or sent.

        Args:
            told: Whether the application hears of each.
        """
        self._begin(now)
        own = self._parts.identity.node_id
        self._parts.view.begin_with(crowd)
        for row in crowd.rows.values() if told else ():
            if row.id != own:
                self._parts.tell("member.joined", row)
        self._parts.news.drop_line(own)
        self._intake.settle(peer)
        self._rounds.arm(now)

    def greeting(self, newcomer: Sequence[Value], peer: NodeId, *, now: Seconds) -> list[Value]:
        """Answer a newcomer that shows its own record; see `Greeting.wire`."""
        self.merge_untrusted(newcomer, peer, now=now)
        return [] if self._parts.guest else self._welcome.greet().wire()

    def greeted_untrusted(self, greeting: Value, peer: NodeId, *, now: Seconds) -> None:
        """A node answered the first question; what it left out is asked for next.

        Raises:
            WireError: The answer is none.
        """
        read = Greeting.from_untrusted(greeting)
        self.merge_untrusted(read.records, peer, now=now)
        self._intake.then(peer, lambda moment: self._welcome.begin(peer, read.sums, moment))
        self._intake.work(now)
        self._rounds.arm(now)

    def comparison(self, buckets: int, *, now: Seconds) -> list[Value]:
        """[mask, entries]: for `SyncWith` with buckets."""
        return self._repair.payload(buckets, now)

    def compare_untrusted(
        self, comparison: Sequence[Value], peer: NodeId, *, now: Seconds
    ) -> list[Value] | None:
        """Answer somebody's `comparison` with what it lacks; None if it has to ask another.

        Raises:
            WireError: It is none.
        """
        self._begin(now)
        mask, entries, *_ = array(list(comparison), "a comparison", at_least=2)
        read = binary(entries, "entries")
        if self._parts.guest:
            return None
        return self._repair.answer_untrusted(peer, mask_untrusted(mask), read, now)

    def compared(
        self, records: Sequence[Value] | None, buckets: int, peer: NodeId, *, now: Seconds
    ) -> None:
        """The end of a comparison by stream: what this node lacked; None if it failed."""
        if records is None:
            self._begin(now)
            self._welcome.failed(peer, buckets, now)
        else:
            self.merge_untrusted(records, peer, now=now)
            self._intake.then(peer, lambda moment: self._welcome.ended(peer, moment))
            self._intake.work(now)
        self._rounds.arm(now)

    def introduce(self, peer: NodeId, *, now: Seconds) -> None:
        """A seed or an old acquaintance has been reached: sync with it at once."""
        self._begin(now)
        if not self._conversation.has_left:
            self._parts.put(SyncWith(peer))
        self._rounds.arm(now)

    def _begin(self, now: Seconds) -> None:
        """Count anew, and notice whether this node itself was late."""
        self._admission.begin_input()
        self._parts.evidence.now = now
        due = self._parts.timers.soonest
        if now - due > self._parts.config.ack_timeout / 2 and due != self._forgiven:
            self._forgiven = due
            self._parts.evidence.stalled(now - due)
            self._detector.forgive(now)


def _dead_among(records: Sequence[Value]) -> frozenset[bytes]:
    """Whom the sender of a list takes for dead."""
    dead = []
    for value in records[: limits.MAX_MEMBERS]:
        match value:
            case [bytes(line), _, _, _, True, *_]:
                with contextlib.suppress(WireError):
                    dead.append(VersionLine.from_bytes_untrusted(line).node_id)
    return frozenset(dead)
