"""The list of members as this node sees it, this node included."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Final

import attrs

from meshp2p.events import State
from meshp2p.gossip import digest
from meshp2p.gossip.digest import BUCKETS, Sums
from meshp2p.gossip.directory import Directory, Listed
from meshp2p.gossip.member import Row
from meshp2p.gossip.packed import Likeness
from meshp2p.gossip.pool import Pool
from meshp2p.gossip.record import Record
from meshp2p.gossip.rows import Bucket, Crowd, Rows, with_id, without_id
from meshp2p.gossip.tombstones import Tombstones
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

_UNPACKED: Final = limits.SIGNATURES_PER_INPUT // 3
"""Records, as many as one input brings of strangers: each costs three signature checks."""


@attrs.define
class View:
    """Rows by id, and what can be said about all of them without looking at each.

    `sums` adds up a 64-bit hash of each (id, epoch, seq, state class) by bucket: equal views
    have equal sums, and a change costs two additions. An insider with many keys could forge
    a collision; it would only delay a repair, since buckets are also listed now and then.

    Args:
        own_id: This node, which is never drawn at random.
    """

    own_id: NodeId
    hash: int = attrs.field(default=0, init=False)
    """The sum of all sums."""
    sums: Sums = attrs.field(factory=lambda: [0] * BUCKETS, init=False)
    live: Pool = attrs.field(factory=Pool, init=False)
    dead: Pool = attrs.field(factory=Pool, init=False)
    left: Pool = attrs.field(factory=Pool, init=False)
    directory: Directory = attrs.field(init=False)
    tombstones: Tombstones = attrs.field(factory=Tombstones, init=False)
    _rows: Rows = attrs.field(factory=Rows, init=False)
    _buckets: list[Bucket] = attrs.field(factory=lambda: [()] * BUCKETS, init=False)
    _lost: dict[NodeId, Row] = attrs.field(factory=dict, init=False)
    _like: Likeness | None = attrs.field(default=None, init=False)
    """What the first record from elsewhere has in common with all others."""
    _newest: deque[Record] = attrs.field(factory=deque, init=False)
    """Records of others that are not packed yet: their arrival has still to be told."""

    def __attrs_post_init__(self) -> None:
        """The directory looks at all rows when many come at once."""
        self.directory = Directory(self._rows)

    def __len__(self) -> int:
        """How many members it lists, in whatever state."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        """All members, in whatever state, this node included: to look at, not to change."""
        return iter(self._rows)

    def get(self, node_id: bytes) -> Row | None:
        """The member's row; None for a stranger."""
        return self._rows.get(node_id)

    def lost(self, node_id: bytes) -> Row | None:
        """A dead member whose record has expired, but which may be tried again."""
        return self._lost.get(NodeId(node_id))

    def bucket(self, number: int) -> list[Row]:
        """Members whose ids fall into one bucket, in whatever state: to look at."""
        return [self._rows.peek(node_id) for node_id in self._buckets[number]]

    def find(self, prefix: bytes) -> Row | None:
        """The member whose id begins so; None for a stranger, or if it is too short to tell."""
        if len(prefix) < digest.PREFIX_BYTES:
            return None
        bucket = self._buckets[digest.bucket_of(prefix)]
        place = bisect_left(bucket, prefix)
        found = place < len(bucket) and bucket[place].startswith(prefix)
        return self._rows.get(bucket[place]) if found else None

    @property
    def population(self) -> int:
        """Live members, this node included: SWIM's n."""
        return len(self.live) + 1

    def add(self, row: Row) -> bool:
        """List a new member; False if there is no room even without the departed."""
        if len(self._rows) >= limits.MAX_MEMBERS and not self._make_room():
            return False
        self._lost.pop(row.id, None)
        row.believed_until = max(row.believed_until, self.tombstones.remove(row.id))
        self._rows.put(row)
        number = digest.bucket_of(row.id)
        self._buckets[number] = with_id(self._buckets[number], row.id)
        self._count(row, digest.hash_of(row))
        self.directory.add(Listed.of(row))
        self._keep(row.record)
        if row.id != self.own_id:
            self._pool(row).add(row.id)
        return True

    def begin_with(self, crowd: Crowd) -> None:
        """List all of a crowd; this node, which is one of them, is all that is listed so far."""
        self._rows.begin_with(crowd)
        self._buckets = list(crowd.buckets)
        self.sums = list(crowd.sums)
        self.hash = sum(crowd.sums) % digest.SUMS
        self.live = Pool([row.id for row in crowd.rows.values() if row.id != self.own_id])
        self.directory.forget_all()

    def change(self, row: Row, *, record: Record | None = None, state: State | None = None) -> None:
        """Replace what a member said, or what is thought of it."""
        pool, before = self._pool(row), digest.hash_of(row)
        if record is not None and row.record.valid_until > record.valid_until:
            row.believed_until = max(row.believed_until, row.record.valid_until)
        listed = Listed.of(row)
        row.record = record or row.record
        row.state = state or row.state
        self._count(row, digest.hash_of(row) - before)
        self.directory.update(listed, Listed.of(row))
        if record is not None and row.id != self.own_id:
            self._keep(record)
        if row.id != self.own_id and self._pool(row) is not pool:
            pool.discard(row.id)
            self._pool(row).add(row.id)

    def forget(self, row: Row) -> None:
        """Take a departed member off the list: its lines have expired everywhere.

        Who died without leaving may only have been away: it is still tried now and then.
        """
        self._count(row, -digest.hash_of(row))
        self._pool(row).discard(row.id)
        self._rows.remove(row.id)
        number = digest.bucket_of(row.id)
        self._buckets[number] = without_id(self._buckets[number], row.id)
        self.directory.remove(Listed.of(row))
        record = row.record
        self.tombstones.put(row.id, record.rank, max(row.believed_until, record.valid_until))
        if row.state == "dead":
            self._lost[row.id] = row
            if len(self._lost) > limits.MAX_LOST:
                del self._lost[next(iter(self._lost))]

    def expired(self, unix: float, tolerance: Seconds, rng: Random, at_most: int) -> list[Row]:
        """Some of the departed whose last lines nobody would believe any more."""
        self.tombstones.clear_expired(unix, tolerance)
        drawn = [*self.dead.sample(rng, at_most), *self.left.sample(rng, at_most)]
        rows = [self._rows.peek(node_id) for node_id in drawn]
        return [row for row in rows if row.record.valid_until + tolerance < unix]

    def draw_lost(self, rng: Random) -> Row | None:
        """A dead member, each in its turn: it may have come back without knowing it was away."""
        choices = self.lost_count
        if choices == 0:
            return None
        if rng.randrange(choices) < len(self.dead):
            drawn = self.dead.next(rng)
            return None if drawn is None else self._rows.get(drawn)
        drawn, row = next(iter(self._lost.items()))
        del self._lost[drawn]
        self._lost[drawn] = row
        return row

    @property
    def lost_count(self) -> int:
        """Dead members who did not leave."""
        return len(self.dead) + len(self._lost)

    @property
    def has_lost(self) -> bool:
        """Whether anybody is dead who did not leave."""
        return bool(self.dead) or bool(self._lost)

    def _keep(self, record: Record) -> None:
        """Pack it, but not yet: whoever is told of it looks into it.

        Among few it is not worth the time of reading them again and again.
        """
        if len(self._rows) <= limits.UNPACKED_MEMBERS or not record.may_be_packed:
            return
        self._newest.append(record)
        if len(self._newest) > _UNPACKED:
            oldest = self._newest.popleft()
            self._like = self._like or oldest.likeness()
            oldest.pack(self._like)

    def _make_room(self) -> bool:
        for pool in (self.left, self.dead):
            if pool:
                self.forget(self._rows.peek(pool[0]))
                return True
        return False

    def _count(self, row: Row, amount: int) -> None:
        self.hash = (self.hash + amount) % digest.SUMS
        digest.added(self.sums, row.id, amount)

    def _pool(self, row: Row) -> Pool:
        if row.is_live:
            return self.live
        return self.dead if row.state == "dead" else self.left
