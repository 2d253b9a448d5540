"""What others say about members: read, judged, and where believed, taken over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeAlias

import attrs

from meshp2p.errors import CredentialError, UnknownMessage, WireError
from meshp2p.events import State, Synced
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.admission import Admission, BudgetSpent
from meshp2p.gossip.detector import Detector
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
Listing: TypeAlias = dict[NodeId, tuple[int, bool, int]]
"""What a peer says that it holds: rank of the line by member, of those that this node knows too."""

_AT_ONCE: Final = 256
"""Claims looked at within one input, most of them known already and settled unsigned."""
_NONE: Final = (-1, False, -1)
"""Older than any version."""
_LISTINGS: Final = 8
"""Peers whose syncs may overlap."""
_CATCH_UP: Final = 64
"""Members of whom a peer is told after a sync; if it lacks more it will sync by itself."""


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
    _listings: dict[NodeId, Listing] = attrs.field(factory=dict, init=False)

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
            self._listings.clear()

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
                self._accusation(Accusation.from_bytes_untrusted(accusation), waiting.peer, now)
            case _SyncEnd(peer):
                self._catch_up(peer)
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

    # Full syncs

    def _list(self, waiting: _Waiting, line: VersionLine) -> None:
        """Note that the peer holds a member's line; made-up members would fill the memory."""
        peer = waiting.peer
        if not waiting.merged or peer is None or self._parts.view.get(line.node_id) is None:
            return
        listing = self._listings.setdefault(peer, {})
        listing[line.node_id] = line.rank
        if len(self._listings) > _LISTINGS:
            del self._listings[next(iter(self._listings))]

    def _catch_up(self, peer: NodeId) -> None:
        """The peer told all it holds: tell it what it lacks, so that both views agree.

        It has heard of this node itself already, before anything was checked.
        """
        self.settle(peer)
        listing = self._listings.pop(peer, {})
        lacking = (
            row
            for row in self._parts.view
            if row.id != self._parts.view.own_id and listing.get(row.id, _NONE) < row.record.rank
        )
        for row in islice(lacking, _CATCH_UP):
            if row.id in listing:
                self._parts.send(peer, LineItem(row.record.line.raw).wire())
            else:
                self._parts.present(row.record, peer)

    # Lines and records

    def _line(
        self, line: VersionLine, offered: RecordItem | None, waiting: _Waiting, now: Seconds
    ) -> None:
        row = self._parts.view.get(line.node_id)
        peer = waiting.peer
        self._list(waiting, line)
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
        self._list(waiting, line)
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

    # Accusations

    def _accusation(self, accusation: Accusation, peer: NodeId | None, now: Seconds) -> None:
        if accusation.subject == self._parts.identity.node_id:
            self._own_accusation(accusation, peer, now)
            return
        row = self._parts.view.get(accusation.subject)
        if row is None or accusation.version > row.version:
            self._parts.pull(peer, accusation.subject, now)
            return
        known = accusation.version == row.version and self._detector.may_hear(row, accusation)
        if not known or not row.is_live:
            self._parts.counters["claims_stale"] += 1
            return
        self._admission.check_recent(accusation, now)
        if self._signed(accusation, peer, now):
            self._parts.evidence.accused(accusation)
            self._detector.accused(row, accusation, now)

    def _own_accusation(self, accusation: Accusation, peer: NodeId | None, now: Seconds) -> None:
        """Somebody suspects us. A version that we never signed makes us ask, not advance."""
        if self._refutation is None:
            return
        version = self._refutation.own_version
        if accusation.version == version and self._refutation.may_hear(accusation.accuser):
            # Whenever that was: a refuted version is accused no more, and whoever had the
            # wrong time when it buried us must hear from us too. So must whoever believes
            # somebody who has left since: it would take us for dead for ever.
            if self._signed(accusation, peer, now, or_departed=True):
                self._parts.evidence.accused(accusation)
                self._refutation.suspected(accusation.accuser, peer, now)
            return
        if accusation.version > version:
            self._parts.pull(peer, accusation.subject, now)
        self._refutation.misinformed(peer, now)  # if of the present one: its refutation is due

    def _signed(
        self,
        accusation: Accusation,
        peer: NodeId | None,
        now: Seconds,
        *,
        or_departed: bool = False,
    ) -> bool:
        """Whether a member that has not left, and is not the subject, signed it.

        Args:
            or_departed: Whether one that has left will do.
        """
        accuser = self._parts.view.get(accusation.accuser)
        if accuser is None:
            self._parts.pull(peer, accusation.accuser, now)
            return False
        has_no_say = accuser.state == "left" and not or_departed
        if has_no_say or accusation.accuser == accusation.subject:
            if has_no_say:  # as of now: its bearer may not know yet
                self._admission.excuse()
            raise WireError("a suspicion by somebody who has no say")
        self._admission.check_accusation(accusation, accuser.record.body.node_key)
        return True


def _size_of(claim: Claim | _SyncEnd | _Mark) -> int:
    """Bytes of a record; the other claims are short."""
    if type(claim) is RecordItem:
        return len(claim.line) + len(claim.body) + len(claim.chain)
    return 0
