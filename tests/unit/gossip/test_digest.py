from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import WireError
from meshp2p.gossip import digest
from meshp2p.gossip.digest import ALL, BUCKETS, Entry
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import BucketItem, Datagram, DigestItem
from meshp2p.gossip.view import View
from tests.simulation.swim_world import swim_of
from tests.unit.gossip.people import id_of, signed_line

ME = id_of("zoe")


def row_of(name: str, **changes: int) -> Row:
    """A member as it presents itself, but for some fields of its line."""
    record = swim_of(name).own_record()
    assert record is not None
    line = signed_line(name, record.line, **changes)
    changed = type(record)(
        line=line,
        body=record.body,
        body_raw=record.body_raw,
        chain=record.chain,
        credential=record.credential,
    )
    return Row(record=changed, state="alive", joined_at=0.0, last_seen=0.0)


PEOPLE = [row_of(f"member-{number}") for number in range(12)]


@given(st.lists(st.integers(0, 11), unique=True), st.lists(st.integers(0, 11), unique=True))
def test_exactly_the_buckets_of_what_differs_are_named(ours: list[int], theirs: list[int]) -> None:
    """A digest points to every difference, and to nothing else."""
    mine, other = View(ME), View(ME)
    for number in ours:
        mine.add(row_of(f"member-{number}"))
    for number in theirs:
        other.add(row_of(f"member-{number}"))

    mask = digest.differing(mine.sums, digest.pack_sums(other.sums))

    ids = {PEOPLE[number].id for number in set(ours) ^ set(theirs)}
    assert mask == digest.mask_of({digest.bucket_of(node_id) for node_id in ids})
    assert (mine.hash == other.hash) == (mask == 0)


def test_a_digest_of_any_view_is_one_datagram() -> None:
    """Sums, and a bucket of 71 members, each fit into one packet with their envelope."""
    datagram = Datagram()
    entries = bytes(digest.ENTRIES * digest.ENTRY_BYTES)

    assert datagram.add(DigestItem(bytes(digest.DIGEST_BYTES)).wire())
    assert Datagram().add(BucketItem(digest.first_of(127), digest.last_of(127), entries).wire())


def test_a_newer_version_has_the_greater_entry() -> None:
    """Who is behind is seen from two entries alone."""
    old, seq, epoch = (
        Entry.of(row_of("bob", **changes)).version
        for changes in ({}, {"seq": 9}, {"epoch": PEOPLE[0].version[0] + 1, "seq": 0})
    )

    assert old < seq < epoch


def test_an_absurd_version_counts_as_the_largest() -> None:
    """A member that counts beyond all bounds confuses nobody else's entries."""
    absurd = Entry.of(row_of("bob", epoch=(1 << 63) - 1, seq=(1 << 63) - 1))

    assert list(digest.entries_untrusted(absurd.packed())) == [absurd]
    assert absurd.prefix == id_of("bob")[:8]


def test_torn_entries_are_refused() -> None:
    """Bytes that are no whole entries tell of nobody."""
    with pytest.raises(WireError, match="17 bytes"):
        list(digest.entries_untrusted(bytes(17)))


@pytest.mark.parametrize(
    ("first", "last"),
    [(5, 4), (0, 1 << 57), (-1, 4), (0, 1 << 64)],
)
def test_a_listing_belongs_to_one_bucket(first: int, last: int) -> None:
    """Nobody can make us compare a range that has no bucket, or several."""
    with pytest.raises(WireError):
        digest.bucket_between(first, last)


def test_buckets_divide_all_ids_among_themselves() -> None:
    """Each id is in the range of its own bucket, and the ranges leave no gap."""
    for bucket in range(BUCKETS):
        assert digest.bucket_between(digest.first_of(bucket), digest.last_of(bucket)) == bucket
    assert digest.first_of(0) == 0
    assert digest.last_of(127) == (1 << 64) - 1
    assert all(digest.last_of(n) + 1 == digest.first_of(n + 1) for n in range(127))


def test_a_mask_falls_into_two_halves() -> None:
    """Two peers share the work, and nothing is asked for twice or forgotten."""
    for mask in (ALL, 1, 0b1011):
        one, other = digest.halves(mask)
        assert one | other == mask
        assert one & other == 0
        assert one.bit_count() - other.bit_count() in (0, 1)
