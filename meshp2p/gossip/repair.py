"""Mends views by sending no more than what one of them lacks.

A node sends its sums; whoever gets them lists the few buckets that differ; then each of
the two sends what the other lacks, or asks for it. Where much differs, a stream compares
these buckets. Four messages at most, each rated for each peer: nobody answers an answer
that it did not ask for, and nothing but what an owner signed changes a record.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from typing import Final

import attrs

from meshp2p.errors import WireError
from meshp2p.gossip import digest
from meshp2p.gossip.digest import DEAD, ENTRIES, PREFIX_BYTES, Entry
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import (
    MAX_WANTED,
    BucketItem,
    DifferItem,
    DigestItem,
    LineItem,
    Repairing,
    WantItem,
)
from meshp2p.gossip.outputs import SyncWith
from meshp2p.gossip.parts import Parts, whole_if_it_fits
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.budget import Budgets
from meshp2p.wire.codec import Value

_FEW_BUCKETS: Final = 8
"""Differing buckets that datagrams list; of more, a stream."""
_FEW_ENTRIES: Final = 4 * ENTRIES
"""Members in them, likewise: four datagrams."""
_FEW_RECORDS: Final = 16
"""Whole records that datagrams bring; of more, a stream."""
_PULLED: Final = 4 * limits.MAX_PULLS
"""Strangers of one comparison that are asked for: more questions are not open to one peer."""
_ANSWER_WITHIN: Final[Seconds] = 3.0
"""An answer to our sums is expected for so long; afterwards it is rated as a question."""
_PRICE: Final = 8 * 1024
"""Bytes of a peer's ration, besides those of the answer: a view is looked through for each
question. So nobody gets more than sixteen answers at once, and two a second."""
_AGEING: Final = 3 / 8
"""A lease of which less is left is asked for: 45 minutes of two hours."""


def _budgets() -> Budgets:
    return Budgets(limits.REPAIRS_AT_ONCE, limits.REPAIRS_PER_SECOND, limits.MAX_BUDGETS)


@attrs.define
class _Lacks:
    """What comes of comparing one listing with our view.

    Args:
        records: Prefixes of members unknown here.
        lines: Prefixes of members of whom they know something newer, or worse.
        owed: What they lack, or hold in an older version.
        strangers: How many of `owed` are whole records.
    """

    records: list[bytes] = attrs.field(factory=list)
    lines: list[bytes] = attrs.field(factory=list)
    owed: list[list[Value]] = attrs.field(factory=list)
    strangers: int = 0
    mask: int = 0


@attrs.define
class Repair:
    """Compares views and sends what is missing, in both directions."""

    _parts: Parts
    _asked: OrderedDict[NodeId, Seconds] = attrs.field(factory=OrderedDict, init=False)
    """Members that have our sums, and until when their answers are welcome."""
    _budgets: Budgets = attrs.field(factory=_budgets, init=False)
    _swept: int = attrs.field(default=0, init=False)
    """The bucket whose leases are looked at next."""

    # What this node asks

    def compare(self, peer: NodeId, now: Seconds) -> None:
        """Let a member say where our views differ."""
        self._parts.forget_expired(now)
        self._asked[peer] = now + _ANSWER_WITHIN
        self._asked.move_to_end(peer)
        if len(self._asked) > limits.MAX_BUDGETS:
            self._asked.popitem(last=False)
        self._parts.counters["digests"] += 1
        sums = digest.pack_sums(self._parts.view.sums)
        self._parts.send(peer, DigestItem(sums).wire())

    def show_bucket(self, peer: NodeId, now: Seconds) -> None:
        """List one bucket in full: members that hide behind a forged sum come to light."""
        bucket = self._parts.rng.randrange(digest.BUCKETS)
        self._parts.send_all(peer, self._listing([bucket], now))

    def ask_for_leases(self, peer: NodeId, now: Seconds, buckets: int) -> None:
        """Ask for longer leases of those whose lines expire soon, in the next few buckets."""
        ageing: list[bytes] = []
        for _ in range(buckets):
            ageing += [
                row.id[:PREFIX_BYTES]
                for row in self._parts.view.bucket(self._swept)
                if row.is_live and not self._is_fresh(row, now)
            ]
            self._swept = (self._swept + 1) % digest.BUCKETS
        if ageing:
            self._parts.send(peer, WantItem(leases=b"".join(ageing[:MAX_WANTED])).wire())

    def ask_who(self, peer: NodeId, now: Seconds) -> None:
        """Ask somebody who speaks as a member for its record: no stream leads to it yet.

        It came back, or we did, with no memory; the other side sees only that views differ.
        """
        if self._budgets.allows(peer, now):
            self._budgets.charge(peer, _PRICE, now)
            self._parts.send(peer, WantItem(records=peer[:PREFIX_BYTES]).wire())

    # What others ask, and answer

    def receive(self, peer: NodeId, items: Iterable[Repairing], now: Seconds) -> None:
        """What a peer said in one datagram: one item of each kind counts, and all listings."""
        row = self._parts.view.get(peer)
        if row is None or not row.is_live:
            self._parts.counters["repairs_refused"] += 1
            return
        by_kind: dict[type, Repairing] = {}
        listings: list[BucketItem] = []
        for item in items:
            if isinstance(item, BucketItem):
                listings.append(item)
            else:
                by_kind.setdefault(type(item), item)
        for item in by_kind.values():
            self._receive_one(peer, item, now)
        if listings:
            self._receive_listings(peer, listings, now)

    def _receive_one(self, peer: NodeId, item: Repairing, now: Seconds) -> None:
        if isinstance(item, DifferItem):
            if self._asked.pop(peer, -inf) >= now:
                self._parts.put(SyncWith(peer, item.mask))
        elif self._may(peer, now):
            match item:
                case DigestItem(sums):
                    self._answer_sums(peer, sums, now)
                case WantItem():
                    self._give(peer, self._wanted(item, now), now)

    def _may(self, peer: NodeId, now: Seconds, price: int = _PRICE) -> bool:
        """Whether a peer has something left of its ration, of which this takes a part."""
        allowed = self._budgets.allows(peer, now)
        self._budgets.charge(peer, price if allowed else 0, now)
        self._parts.counters["repairs_refused"] += not allowed
        return allowed

    def _give(self, peer: NodeId, items: Iterable[list[Value]], now: Seconds) -> None:
        """Answer, at the cost of the peer's ration; what is too much, time pays."""
        self._budgets.charge(peer, self._parts.send_all(peer, items), now)

    def _answer_sums(self, peer: NodeId, sums: bytes, now: Seconds) -> None:
        self._parts.forget_expired(now)
        mask = digest.differing(self._parts.view.sums, sums)
        buckets = digest.buckets_in(mask)
        few = len(buckets) <= _FEW_BUCKETS
        if few and sum(len(self._parts.view.bucket(each)) for each in buckets) <= _FEW_ENTRIES:
            self._give(peer, self._listing(buckets, now), now)
        else:
            self._parts.send(peer, DifferItem(mask).wire())

    def _listing(self, buckets: Sequence[int], now: Seconds) -> Iterator[list[Value]]:
        """All that is known of these buckets, in items that each fit a datagram."""
        for bucket in buckets:
            rows = sorted(self._lasting(bucket, now), key=lambda row: row.id)
            first = digest.first_of(bucket)
            for start in range(0, len(rows), ENTRIES):
                some = rows[start : start + ENTRIES]
                is_last = start + ENTRIES >= len(rows)
                last = digest.last_of(bucket) if is_last else digest.prefix_number(some[-1].id)
                yield BucketItem(first, last, digest.pack_entries(some)).wire()
                first = last + 1
            if not rows:
                yield BucketItem(first, digest.last_of(bucket), b"").wire()

    def _lasting(self, bucket: int, now: Seconds) -> list[Row]:
        """Members of a bucket, but for the departed whom nobody would believe in any more."""
        unix, tolerance = self._parts.wall.unix(now), self._parts.config.clock_tolerance
        return [
            row
            for row in self._parts.view.bucket(bucket)
            if row.is_live or row.record.valid_until + tolerance >= unix
        ]

    # Listings

    def _receive_listings(self, peer: NodeId, items: list[BucketItem], now: Seconds) -> None:
        was_asked = self._asked.get(peer, -inf) >= now
        if not self._may(peer, now, 0 if was_asked else _PRICE):
            return
        lacks = _Lacks()
        try:
            for item in items:
                self._weigh(item, lacks, now)
        except WireError:
            self._parts.counters["datagrams_malformed"] += 1
            return
        if len(lacks.records) + lacks.strangers > _FEW_RECORDS:
            self._compare_by_stream(peer, lacks.mask, now)
            return
        if lacks.records or lacks.lines:
            lines = b"".join(lacks.lines[:MAX_WANTED])
            lacks.owed.insert(0, WantItem(b"".join(lacks.records), lines).wire())
        self._give(peer, lacks.owed, now)

    def _compare_by_stream(self, peer: NodeId, mask: int, now: Seconds) -> None:
        """Ask for what is missing; the question tells all that these buckets hold."""
        told = sum(len(self._parts.view.bucket(each)) for each in digest.buckets_in(mask))
        self._budgets.charge(peer, _PRICE + told * digest.ENTRY_BYTES, now)
        self._parts.put(SyncWith(peer, mask))

    def _weigh(self, item: BucketItem, lacks: _Lacks, now: Seconds) -> None:
        """Compare one listing with what is known here."""
        bucket = digest.bucket_between(item.first, item.last)
        lacks.mask |= 1 << bucket
        held = {
            row.id[:PREFIX_BYTES]: row
            for row in self._lasting(bucket, now)
            if item.first <= digest.prefix_number(row.id) <= item.last
        }
        for entry in digest.entries_untrusted(item.entries):
            row = held.pop(entry.prefix, None)
            if row is not None:
                self._weigh_known(row, entry, lacks)
            elif self._parts.view.find(entry.prefix) is None:
                lacks.records.append(entry.prefix)
        for row in held.values():
            lacks.strangers += 1
            lacks.owed += [whole_if_it_fits(row.record), *self._parts.doubts(row)]

    def _weigh_known(self, row: Row, entry: Entry, lacks: _Lacks) -> None:
        mine = Entry.of(row)
        if entry.version > mine.version:
            lacks.lines.append(entry.prefix)
        elif entry.version < mine.version:
            lacks.owed += [LineItem(row.record.line.raw).wire(), *self._parts.doubts(row)]
        elif entry.standing == DEAD != mine.standing:
            lacks.lines.append(entry.prefix)  # with it comes why: a reason to doubt, no more
        elif mine.standing == DEAD != entry.standing:
            lacks.owed += self._parts.doubts(row)

    def _wanted(self, item: WantItem, now: Seconds) -> Iterator[list[Value]]:
        for row in self._named(item.records, _FEW_RECORDS):
            yield whole_if_it_fits(row.record)
            yield from self._parts.doubts(row)
        for row in self._named(item.lines, MAX_WANTED):
            yield LineItem(row.record.line.raw).wire()
            yield from self._parts.doubts(row)
        for row in self._named(item.leases, MAX_WANTED):
            if self._is_fresh(row, now):
                yield LineItem(row.record.line.raw).wire()

    def _named(self, prefixes: bytes, at_most: int) -> Iterator[Row]:
        for start in range(0, min(len(prefixes), at_most * PREFIX_BYTES), PREFIX_BYTES):
            row = self._parts.view.find(prefixes[start : start + PREFIX_BYTES])
            if row is not None:
                yield row

    def _is_fresh(self, row: Row, now: Seconds) -> bool:
        left = row.record.valid_until - self._parts.wall.unix(now)
        return left > _AGEING * self._parts.config.line_validity

    # By stream

    def payload(self, mask: int, now: Seconds) -> list[Value]:
        """[mask, entries]: what this node holds in these buckets, for the peer to compare."""
        rows = [row for each in digest.buckets_in(mask) for row in self._lasting(each, now)]
        return [mask.to_bytes(digest.MASK_BYTES, "big"), digest.pack_entries(rows)]

    def answer_untrusted(
        self, peer: NodeId, mask: int, entries: bytes, now: Seconds
    ) -> list[Value] | None:
        """Records that the peer lacks; what this node lacks is asked for.

        Returns:
            As in `sync_payload`; None if this node is new itself, or was asked too often.

        Raises:
            WireError: The entries are torn, or more than any view holds.
        """
        parts = self._parts
        if not parts.settled or not self._may(peer, now):
            return None
        if len(entries) > limits.MAX_MEMBERS * digest.ENTRY_BYTES:
            raise WireError(f"a comparison of {len(entries)} bytes")
        theirs = {entry.prefix: entry for entry in digest.entries_untrusted(entries)}
        listed: list[Value] = []
        for bucket in digest.buckets_in(mask):
            for row in self._lasting(bucket, now):
                entry = theirs.pop(row.id[:PREFIX_BYTES], None)
                mine = Entry.of(row)
                if entry is None or mine.version > entry.version:
                    listed.append(parts.listed(row))
                elif mine.version < entry.version:
                    parts.pull(peer, row.id, now)
                elif mine.standing == DEAD != entry.standing:
                    listed.append(parts.listed(row))
        for prefix in islice(theirs, _PULLED):  # whatever is left out, the next one shows again
            if mask >> digest.bucket_of(prefix) & 1 and parts.view.find(prefix) is None:
                parts.pull(peer, NodeId(prefix), now)
        return listed
