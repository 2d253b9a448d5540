"""What others say about members: read, judged, and where believed, taken over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from meshp2p.errors import CredentialError, UnknownMessage, WireError
from meshp2p.events import State, Synced
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.admission import Admission, BudgetSpent
from meshp2p.gossip.detector import Detector
from meshp2p.gossip.hearing import Hearing
from meshp2p.gossip.listings import Listings
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import LineItem, RecordItem, SuspicionItem
from meshp2p.gossip.outputs import Moved, Tell
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.reasons import what_changed, why_joined, why_returned
from meshp2p.gossip.record import LEFT, Record, VersionLine, with_longer_chain
from meshp2p.gossip.refutation import Refutation
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

Claim: TypeAlias = LineItem | RecordItem | SuspicionItem

_AT_ONCE: Final = 256
"""Claims looked at within one input, most of them known already and settled unsigned."""


@attrs.frozen
class _SyncEnd:
    """Marks in the queue that a peer has listed all that it holds."""

    peer: NodeId


@attrs.frozen
class _Mark:
    """Something to be done when all that was queued before it is settled."""

    act: Callable[[Seconds], None]


@attrs.frozen
class _Waiting:
    claim: Claim | _SyncEnd | _Mark
    peer: NodeId | None
    merged: bool


@attrs.define
class Intake:
    """Applies claims in the order in which they came, as fast as signatures allow.

    Cheap questions are asked first: most claims are old news and cost no signature.

    Args:
        _refutation: None for a guest, of whom nobody speaks.
    """

    _parts: Parts
    _admission: Admission
    _detector: Detector
    _refutation: Refutation | None
    _has_synced: bool = attrs.field(default=False, init=False)
    _waiting: deque[_Waiting] = attrs.field(factory=deque, init=False)
    _waiting_bytes: int = attrs.field(default=0, init=False)
    _listings: Listings = attrs.field(init=False)
    _hearing: Hearing = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Of these only the intake knows."""
        self._listings = Listings(self._parts)
        self._hearing = Hearing(self._parts, self._admission, self._detector, self._refutation)

    def __len__(self) -> int:
        """How many claims wait for their signatures to be checked."""
        return len(self._waiting)

    def offer(self, claim: Claim, peer: NodeId, now: Seconds) -> None:
        """Take a claim from a datagram: now if that is cheap, else a moment later."""
        waiting = _Waiting(claim, peer, merged=False)
        if not self._settle(waiting, now):
            self._queue(waiting)

    def begin_merge(self) -> None:
        """Forget what peers listed without an end, in their own syncs and in pulls."""
        if not self._waiting:
            self._listings.forget()

    def merge(self, claim: Claim, peer: NodeId | None) -> None:
        """Take a claim from a full sync or a pull, later."""
        self._queue(_Waiting(claim, peer, merged=True))

    def end_sync(self, peer: NodeId) -> None:
        """Note that the peer has nothing more to list."""
        self._waiting.append(_Waiting(_SyncEnd(peer), peer, merged=True))

    def then(self, peer: NodeId, act: Callable[[Seconds], None]) -> None:
        """Do something as soon as all that waits now is settled."""
        self._waiting.append(_Waiting(_Mark(act), peer, merged=True))

    def work(self, now: Seconds) -> None:
        """Settle what waits, within this input's budget."""
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            if not self._settle(self._waiting[0], now):
                return
            self._waiting_bytes -= _size_of(self._waiting.popleft().claim)

    def _settle(self, waiting: _Waiting, now: Seconds) -> bool:
        """Decide about one claim; False if its signatures have to wait."""
        self._admission.begin_claim(waiting.peer, now)
        if not isinstance(waiting.claim, _SyncEnd | _Mark) and not self._admission.listens_to(
            waiting.peer, now
        ):
            self._parts.counters["claims_refused"] += 1
            return True
        try:
            self._decide(waiting, now)
        except BudgetSpent:
            return False
        except UnknownMessage:  # its bearer may be of the version that understands it
            self._parts.counters["items_unknown"] += 1
        except WireError:
            self._parts.counters["claims_refused"] += 1
            self._admission.in_vain()
        except CredentialError:
            self._parts.counters["claims_unproved"] += 1
            self._admission.in_vain()
        return True

    def _decide(self, waiting: _Waiting, now: Seconds) -> None:
        match waiting.claim:
            case LineItem(line):
                self._line(VersionLine.from_bytes_untrusted(line), None, waiting, now)
            case RecordItem(line) as record:
                self._line(VersionLine.from_bytes_untrusted(line), record, waiting, now)
            case SuspicionItem(accusation):
                read = Accusation.from_bytes_untrusted(accusation)
                self._hearing.hear(read, waiting.peer, now)
            case _SyncEnd(peer):
                self.settle(peer)
                self._listings.catch_up(peer)
            case _Mark(act):
                act(now)

    def _queue(self, waiting: _Waiting) -> None:
        size = self._waiting_bytes + _size_of(waiting.claim)
        if len(self._waiting) >= limits.MAX_UNVERIFIED or size > limits.MAX_UNVERIFIED_BYTES:
            self._parts.counters["claims_dropped"] += 1
            return
        self._waiting.append(waiting)
        self._waiting_bytes = size

    def _spreads(self, waiting: _Waiting) -> bool:
        """Whether others should hear of it from here: not while this node is new itself."""
        return self._parts.settled or not waiting.merged

    def settle(self, peer: NodeId) -> bool:
        """This node knows what the peer knows; say whether that is so for the first time."""
        self._parts.settled = True
        is_first = not self._has_synced
        if is_first:
            self._has_synced = True
            self._parts.put(Tell(Synced(peer)))
        return is_first

    # Lines and records

    def _line(
        self, line: VersionLine, offered: RecordItem | None, waiting: _Waiting, now: Seconds
    ) -> None:
        row = self._parts.view.get(line.node_id)
        peer = waiting.peer
        if waiting.merged:
            self._listings.note(waiting.peer, line)
        if line.node_id == self._parts.identity.node_id:
            self._own_line(line, peer, now)
        elif row is None:
            self._stranger(line, offered, waiting, now)
        elif line.rank < row.record.rank:
            self._parts.counters["claims_stale"] += 1
            if peer == line.node_id:  # it restarted with a slow clock: show it what we hold
                self._parts.send(line.node_id, LineItem(row.record.line.raw).wire())
        elif line.rank == row.record.rank:
            self._same_version(row, line, offered, now)
        else:
            self._newer(row, line, offered, waiting, now)

    def _own_line(self, line: VersionLine, peer: NodeId | None, now: Seconds) -> None:
        """Somebody shows us a line of our own: one of an earlier run, or of a clone."""
        mine = self._parts.view.get(line.node_id)
        if self._refutation is None or mine is None or line.rank < mine.record.rank:
            return
        if mine.record.says(line):
            return
        self._admission.check_line(line, self._parts.identity.node_public)
        # A farewell prevails over this epoch: it takes the next one to be back.
        self._refutation.shown(max(line.version, mine.version), peer, now)

    def _stranger(
        self, line: VersionLine, offered: RecordItem | None, waiting: _Waiting, now: Seconds
    ) -> None:
        if self._parts.view.tombstones.forbid(line):
            self._parts.counters["claims_stale"] += 1
            return
        if offered is None:
            self._parts.pull(waiting.peer, line.node_id, now)
            return
        record = self._admission.check_record(line, offered.body, offered.chain, held=None, now=now)
        state: State = "left" if line.state == LEFT else "alive"
        lost = self._parts.view.lost(line.node_id)
        row = Row(record=record, state=state, joined_at=now, last_seen=now)
        if not self._parts.view.add(row):
            self._parts.counters["members_refused"] += 1
            return
        if waiting.merged:
            self._listings.note(waiting.peer, line)
        if row.is_live and lost is not None:
            self._parts.tell("member.returned", row, why_returned(lost.record, record))
        elif row.is_live:
            self._parts.tell("member.joined", row, self._why_joined(row, waiting))
        if self._spreads(waiting) or self._parts.was_pulled(row.id):
            self._parts.news.put_line(record, new_body=True)

    def _why_joined(self, row: Row, waiting: _Waiting) -> str:
        by = "" if waiting.peer is None else self._parts.name_of(waiting.peer)
        is_listed = waiting.merged and not self._parts.settled
        return why_joined(by, is_own=waiting.peer == row.id, is_listed=is_listed)

    def _same_version(
        self, row: Row, line: VersionLine, offered: RecordItem | None, now: Seconds
    ) -> None:
        held = row.record
        if not held.says(line):
            if row.clone == line.version:
                return
            self._admission.check_line(line, held.body.node_key)
            row.clone = line.version
            self._notice_clone(row)
            return
        if line.valid_until > held.valid_until:
            self._admission.check_lease(line, held.body.node_key, now)
            held = attrs.evolve(held, line=line).as_received()
            self._parts.view.change(row, record=held)
            self._parts.counters["leases"] += 1
        if offered is not None and offered.chain != held.chain:
            record = self._admission.check_chain(held, offered.chain, now)
            if record is not held:
                self._parts.view.change(row, record=record)

    def _notice_clone(self, row: Row) -> None:
        """Two processes sign with one key: nobody else can make two lines of one version."""
        text, name = "key cloned: two records of one version", row.member().name
        self._parts.counters["clones"] += 1
        self._parts.evidence.note(row.id, "cloned", "two processes sign with its key")
        self._parts.log("error", text, member=name)

    def _newer(
        self,
        row: Row,
        line: VersionLine,
        offered: RecordItem | None,
        waiting: _Waiting,
        now: Seconds,
    ) -> None:
        held = row.record
        if offered is None and line.body_hash != held.body_hash:
            self._parts.pull(waiting.peer, row.id, now)
            return
        body_raw = held.body_raw if offered is None else offered.body
        chain = held.chain if offered is None else offered.chain
        try:
            record = self._admission.check_record(line, body_raw, chain, held=held, now=now)
        except CredentialError:
            if offered is None:  # only our copy of its chain is too old
                self._admission.excuse()
                self._parts.pull(waiting.peer, row.id, now)
            raise
        if chain != held.chain and record.body_hash == held.body_hash:
            record = with_longer_chain(record, held)
        spread = self._spreads(waiting) or self._parts.was_pulled(row.id)
        self._take_over(row, record, now, spread=spread)

    def _take_over(self, row: Row, record: Record, now: Seconds, *, spread: bool) -> None:
        """The member itself spoke: all that was thought of the older version is void."""
        parts, before, held = self._parts, row.state, row.record
        if parts.identity.node_id in row.heard and record.version[0] == held.version[0]:
            parts.counters["false_accusations"] += 1
        self._detector.exonerate(row, now)
        parts.news.drop_accusations(row.id)
        row.last_seen = now
        after: State = "left" if record.state == LEFT else "alive"
        new_body = record.body_hash != held.body_hash
        parts.view.change(row, record=record, state=after)
        if spread:
            refutes = before in ("suspect", "dead")
            parts.news.put_line(record, refutes=refutes, new_body=new_body)
        gone = set(held.body.addresses).difference(record.body.addresses) if new_body else set()
        if gone:
            parts.put(Moved(row.id, tuple(sorted(gone))))
        change = what_changed(before, held, record)
        if change is not None:
            parts.tell(change[0], row, change[1])


def _size_of(claim: Claim | _SyncEnd | _Mark) -> int:
    """Bytes of a record; the other claims are short."""
    if type(claim) is RecordItem:
        return len(claim.line) + len(claim.body) + len(claim.chain)
    return 0
