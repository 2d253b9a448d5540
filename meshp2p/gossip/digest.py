"""A view in 1,024 bytes: sums of 128 buckets, and 16 bytes for each member of one bucket.

Two views of whatever size are compared by one datagram of sums; where a sum differs, entries
say who is missing or older. Only lines that owners signed change anything: an entry is a
question, never a claim.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import attrs

from meshp2p.errors import WireError
from meshp2p.events import State
from meshp2p.gossip.member import Row

BUCKETS: Final = 128
"""A member's bucket is the first seven bits of its id."""
SUM_BYTES: Final = 8
DIGEST_BYTES: Final = BUCKETS * SUM_BYTES
MASK_BYTES: Final = BUCKETS // 8
PREFIX_BYTES: Final = 8
"""Bytes of an id that tell members apart: two keys with equal ones cost 2^32 tries, and
would hide only each other."""
ENTRY_BYTES: Final = 16
ENTRIES: Final = 71
"""What one datagram holds."""
ALL: Final = (1 << BUCKETS) - 1
"""The mask of all buckets."""

SUMS: Final = 1 << 64
"""Sums are taken modulo this."""
DEAD: Final = 1
"""Class of a member that is dead to whoever lists it; 0 is live, 2 has left."""
_CLASS: Final[dict[State, int]] = {"alive": 0, "suspect": 0, "dead": DEAD, "left": 2}
"""What views are compared by. A suspicion is a question, not yet a difference."""
_SUMS: Final = struct.Struct(f">{BUCKETS}Q")
_ENTRY: Final = struct.Struct(">8sQ")
_LARGEST_EPOCH: Final = (1 << 44) - 1
"""Milliseconds until the year 2527; a later epoch counts as this one."""
_LARGEST_SEQ: Final = (1 << 18) - 1
_BUCKET_SHIFT: Final = 57
_PREFIXES: Final = 1 << 64

Sums: TypeAlias = list[int]
"""One number for each bucket."""


def bucket_of(node_id: bytes) -> int:
    """In which bucket a member is counted."""
    return node_id[0] >> 1


def hash_of(row: Row) -> int:
    """64 bits of (id, epoch, seq, class): what one member adds to its bucket's sum."""
    epoch, seq = row.version
    said = b"%b%b%b%c" % (row.id, _u64(epoch), _u64(seq), _CLASS[row.state])
    digest = hashlib.blake2b(said, digest_size=SUM_BYTES).digest()
    return int.from_bytes(digest, "big")


def added(sums: Sums, node_id: bytes, amount: int) -> None:
    """Count a member in, or out with a negative amount."""
    bucket = bucket_of(node_id)
    sums[bucket] = (sums[bucket] + amount) % SUMS


def pack_sums(sums: Sums) -> bytes:
    """1,024 bytes."""
    return _SUMS.pack(*sums)


def differing(sums: Sums, theirs: bytes) -> int:
    """The mask of buckets whose sums differ; `theirs` as `pack_sums` makes it."""
    mask = 0
    for bucket, other in enumerate(_SUMS.unpack(theirs)):
        if sums[bucket] != other:
            mask |= 1 << bucket
    return mask


def buckets_in(mask: int) -> list[int]:
    """The buckets of a mask, in order."""
    return [bucket for bucket in range(BUCKETS) if mask >> bucket & 1]


def mask_of(buckets: Iterable[int]) -> int:
    """The mask of some buckets."""
    mask = 0
    for bucket in buckets:
        mask |= 1 << bucket
    return mask


def halves(mask: int) -> tuple[int, int]:
    """Two masks with every other bucket of this one."""
    buckets = buckets_in(mask)
    return mask_of(buckets[::2]), mask_of(buckets[1::2])


@attrs.frozen
class Entry:
    """What somebody holds of one member, in short.

    Args:
        prefix: The first 8 bytes of its id.
        version: Greater prevails. A line's rank in one number, as far as there is room.
        standing: `DEAD`, or 0.
    """

    prefix: bytes
    version: int
    standing: int

    @classmethod
    def of(cls, row: Row) -> Entry:
        """What this node holds of it."""
        epoch, left, seq = row.record.rank
        version = min(epoch, _LARGEST_EPOCH) << 19 | left << 18 | min(seq, _LARGEST_SEQ)
        return cls(row.id[:PREFIX_BYTES], version, DEAD if row.state == "dead" else 0)

    def packed(self) -> bytes:
        """16 bytes: prefix, 44 bits of epoch, 1 if it has left, 18 of seq, 1 if it is dead."""
        return _ENTRY.pack(self.prefix, self.version << 1 | self.standing)


def pack_entries(rows: Iterable[Row]) -> bytes:
    """16 bytes for each."""
    return b"".join([Entry.of(row).packed() for row in rows])


def entries_untrusted(data: bytes) -> Iterator[Entry]:
    """Read what `pack_entries` wrote.

    Raises:
        WireError: It is torn.
    """
    if len(data) % ENTRY_BYTES:
        raise WireError(f"entries of {len(data)} bytes")
    for prefix, word in _ENTRY.iter_unpack(data):
        yield Entry(prefix, word >> 1, word & 1)


def first_of(bucket: int) -> int:
    """The least prefix of a bucket, as a number."""
    return bucket << _BUCKET_SHIFT


def last_of(bucket: int) -> int:
    """The greatest prefix of a bucket, as a number."""
    return ((bucket + 1) << _BUCKET_SHIFT) - 1


def prefix_number(node_id: bytes) -> int:
    """The first 8 bytes of an id as a number."""
    return int.from_bytes(node_id[:PREFIX_BYTES], "big")


def bucket_between(first: int, last: int) -> int:
    """The one bucket to which a range of prefixes belongs.

    Raises:
        WireError: It is no range, or belongs to several.
    """
    if not 0 <= first <= last < _PREFIXES or first >> _BUCKET_SHIFT != last >> _BUCKET_SHIFT:
        raise WireError("a listing of no bucket")
    return first >> _BUCKET_SHIFT


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")
