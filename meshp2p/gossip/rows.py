"""Rows by id: a view's own, and those that many views of one process began with."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import attrs

from meshp2p.gossip import digest
from meshp2p.gossip.digest import BUCKETS, Sums
from meshp2p.gossip.member import Row
from meshp2p.ids import NodeId

Bucket: TypeAlias = tuple[NodeId, ...]
"""Ids that begin with the same seven bits, sorted."""


def with_id(bucket: Bucket, node_id: NodeId) -> Bucket:
    """The same with one more."""
    place = bisect_left(bucket, node_id)
    return (*bucket[:place], node_id, *bucket[place:])


def without_id(bucket: Bucket, node_id: NodeId) -> Bucket:
    """The same without one that is in it."""
    place = bisect_left(bucket, node_id)
    return (*bucket[:place], *bucket[place + 1 :])


@attrs.frozen
class Crowd:
    """Live members of whom nothing is known but their records, as a whole mesh may begin.

    Each node of a simulation lists all the others: ten thousand make a hundred million rows.
    Views that begin with one crowd hold its rows in common, until they have to do with a
    member.
    """

    rows: Mapping[bytes, Row]
    buckets: tuple[Bucket, ...]
    sums: tuple[int, ...]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Crowd:
        """These live members; nobody may change the rows any more."""
        by_id: dict[bytes, Row] = {row.id: row for row in rows}
        sums: Sums = [0] * BUCKETS
        buckets: list[list[NodeId]] = [[] for _ in range(BUCKETS)]
        for row in by_id.values():
            digest.added(sums, row.id, digest.hash_of(row))
            buckets[digest.bucket_of(row.id)].append(row.id)
        return cls(by_id, tuple(tuple(sorted(each)) for each in buckets), tuple(sums))


@attrs.define
class Rows:
    """All rows of one view. `get` gives one to write to; those iterated over are to be read."""

    _own: dict[bytes, Row] = attrs.field(factory=dict, init=False)
    _common: Mapping[bytes, Row] = attrs.field(factory=dict, init=False)
    _only_common: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._own) + self._only_common

    def __iter__(self) -> Iterator[Row]:
        """Each as it is now; what is held in common first, in one order."""
        if not self._only_common:
            return iter(self._own.values())
        common, own = self._common, self._own
        first = (own.get(node_id, row) for node_id, row in common.items())
        rest = (row for node_id, row in own.items() if node_id not in common)
        return iter((*first, *rest))

    def get(self, node_id: bytes) -> Row | None:
        """This view's own row."""
        row = self._own.get(node_id)
        if row is not None or not self._only_common:
            return row
        common = self._common.get(node_id)
        return None if common is None else self._take(common)

    def peek(self, node_id: NodeId) -> Row:
        """A row that is listed, to be read only."""
        row = self._own.get(node_id)
        return self._common[node_id] if row is None else row

    def put(self, row: Row) -> None:
        """List a row under its id."""
        self._own[row.id] = row

    def remove(self, node_id: NodeId) -> None:
        """Take out a row that is listed."""
        if self._only_common:  # otherwise it would be listed again
            self._share_no_more()
        del self._own[node_id]

    def begin_with(self, crowd: Crowd) -> None:
        """List a crowd beside what is listed already."""
        self._common = crowd.rows
        self._only_common = sum(node_id not in self._own for node_id in crowd.rows)

    def _take(self, row: Row) -> Row:
        own = self._own[row.id] = Row(
            record=row.record,
            state=row.state,
            joined_at=row.joined_at,
            last_seen=row.last_seen,
        )
        self._only_common -= 1
        return own

    def _share_no_more(self) -> None:
        for node_id, row in self._common.items():
            if node_id not in self._own:
                self._take(row)
        self._common = {}
