"""Two views that differ are mended by what is missing, whatever a member claims."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import attrs
import pytest

from meshp2p.config import lan
from meshp2p.errors import WireError
from meshp2p.gossip import digest
from meshp2p.gossip.dissemination import Dissemination
from meshp2p.gossip.member import Row
from meshp2p.gossip.messages import (
    BucketItem,
    DifferItem,
    DigestItem,
    LineItem,
    RecordItem,
    Repairing,
    SuspicionItem,
    WantItem,
)
from meshp2p.gossip.outputs import Pull, SendPlain, SyncWith
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.record import LEFT
from meshp2p.gossip.repair import Repair
from meshp2p.gossip.swim import Swim
from meshp2p.gossip.timers import WallClock
from meshp2p.gossip.view import View
from meshp2p.ids import NodeId
from meshp2p.wire import codec, limits
from tests.simulation.swim_world import CRYPTO, START, UNIX, identity_of, swim_of
from tests.unit.gossip.people import (
    accuse,
    acquaint,
    datagram,
    id_of,
    line_of,
    ping,
    said,
    signed_line,
    state_of,
    work_off,
)
from tests.unit.gossip.talk import Said, Talk

NOW = START + 0.001
UNRELATED = 6
"""Datagrams by which two of them present themselves to three others each."""
CROWD = [f"member-{number}" for number in range(60)]


def friends(*names: str, know: tuple[str, ...] = ()) -> list[Swim]:
    """People who know each other, and each of whom knows others that are not here."""
    people = [swim_of(name) for name in names]
    acquaint(*people)
    for absent in know:
        record = swim_of(absent).sync_payload()
        for swim in people:
            swim.merge_untrusted(record, None, now=START)
            work_off(swim, START)
            swim.outputs()
    return people


def teach(swim: Swim, *names: str) -> None:
    """Let one of them know somebody whom the others do not know."""
    for name in names:
        swim.merge_untrusted(swim_of(name).sync_payload(), None, now=START)
        work_off(swim, START)
    swim.outputs()


def notice(swim: Swim, peer: str, hash_: int = 1) -> None:
    """Let it see that a peer's view differs."""
    swim.receive(id_of(peer), datagram([2, 0, hash_.to_bytes(8, "big"), 0]), now=NOW)


def test_a_hole_in_a_view_of_many_costs_four_datagrams() -> None:
    """Who lacks one member gets its record, and nothing else travels."""
    alice, bob = friends("alice", "bob", know=tuple(CROWD))
    teach(alice, "dave")
    talk = Talk({"alice": alice, "bob": bob})

    notice(bob, "alice")
    talk.settle(NOW)

    assert state_of(bob, "dave") == "alive"
    assert alice.view_hash() == bob.view_hash()
    assert talk.questions() == ["DigestItem", "BucketItem", "WantItem"]
    assert len(talk.said) <= 4 + UNRELATED
    assert talk.streams == []


def test_one_exchange_mends_both_views() -> None:
    """Whoever asks also tells what the other lacks."""
    alice, bob = friends("alice", "bob", know=tuple(CROWD))
    teach(alice, "dave")
    teach(bob, "erin", "frank")
    known = swim_of("member-7").own_record()
    assert known is not None
    newer = signed_line("member-7", known.line, seq=4)
    bob.merge_untrusted([[newer.raw, known.body_raw, known.chain]], None, now=NOW)
    bob.outputs()
    talk = Talk({"alice": alice, "bob": bob})

    notice(bob, "alice")
    talk.settle(NOW)

    assert alice.view_hash() == bob.view_hash()
    assert state_of(alice, "erin") == state_of(bob, "dave") == "alive"
    assert talk.streams == []


def test_where_much_differs_a_stream_brings_just_that() -> None:
    """A healed half learns of the other half by stream, and hears nothing that it knows."""
    alice, bob = friends("alice", "bob", know=("carol",))
    teach(alice, *CROWD[:30])
    teach(bob, *CROWD[30:])
    alice.greeting([], id_of("zoe"), now=NOW)  # whoever is asked for a way in is at home here
    talk = Talk({"alice": alice, "bob": bob})

    notice(bob, "alice")
    talk.settle(NOW)

    assert alice.view_hash() == bob.view_hash()
    assert len(bob.members()) == 63
    assert [type(one) for one in talk.streams] == [SyncWith, Pull]


def test_a_comparison_lists_nothing_that_is_known() -> None:
    """By stream too, only what one of the two lacks is transferred."""
    alice, bob = friends("alice", "bob", know=tuple(CROWD[:20]))
    teach(alice, "dave")
    alice.greeting([], id_of("zoe"), now=NOW)  # whoever is asked for a way in is at home here

    records = alice.compare_untrusted(bob.comparison(digest.ALL, now=NOW), id_of("bob"), now=NOW)

    assert records is not None
    assert len(records) == 1


def test_a_newcomer_is_no_source() -> None:
    """Who knows nothing itself says so, and the asker asks somebody else."""
    alice, bob = friends("alice", "bob")

    asked = bob.comparison(digest.ALL, now=NOW)

    assert alice.compare_untrusted(asked, id_of("bob"), now=NOW) is None


def test_a_comparison_makes_nobody_ask_for_more_than_it_could_get() -> None:
    """Of twenty thousand made-up members some four thousand are asked for; of more, nobody."""
    alice, _ = friends("alice", "mallory")
    alice.greeting([], id_of("zoe"), now=NOW)
    alice.outputs()
    mask = digest.ALL.to_bytes(digest.MASK_BYTES, "big")
    made_up = [number.to_bytes(8, "little") + bytes(8) for number in range(limits.MAX_MEMBERS + 1)]

    with pytest.raises(WireError, match="a comparison of"):
        alice.compare_untrusted([mask, b"".join(made_up)], id_of("mallory"), now=NOW)
    assert alice.outputs() == []

    alice.compare_untrusted([mask, b"".join(made_up[1:])], id_of("mallory"), now=NOW)
    asked = [len(output.ids) for output in alice.outputs() if isinstance(output, Pull)]
    assert asked == [limits.MAX_PULLS] * 4


def test_a_newer_line_travels_without_its_body() -> None:
    """Where only the version differs, 130 bytes mend it."""
    alice, bob = friends("alice", "bob", know=("dave",))
    dave = swim_of("dave").own_record()
    assert dave is not None
    newer = signed_line("dave", dave.line, seq=4)
    alice.merge_untrusted([[newer.raw, dave.body_raw, dave.chain]], None, now=NOW)
    alice.outputs()
    talk = Talk({"alice": alice, "bob": bob})

    notice(bob, "alice")
    talk.settle(NOW)

    assert talk.questions() == ["DigestItem", "BucketItem", "WantItem"]
    assert talk.streams == []
    assert alice.view_hash() == bob.view_hash()


def test_a_leave_that_was_missed_is_made_up_for() -> None:
    """Who did not hear a farewell gets it, not a suspicion."""
    alice, bob = friends("alice", "bob", know=("dave",))
    last = signed_line("dave", line_of(swim_of("dave")), seq=4, state=LEFT)
    alice.receive(id_of("dave"), datagram(LineItem(last.raw).wire()), now=NOW)
    alice.outputs()

    notice(bob, "alice")
    Talk({"alice": alice, "bob": bob}).settle(NOW)

    assert state_of(bob, "dave") == "left"


def test_a_death_elsewhere_is_only_a_reason_to_doubt() -> None:
    """Whom the other buried becomes a suspect here, by a signed word, and can refute."""
    alice, bob, carol = friends("alice", "bob", "carol", know=("dave",))
    alice.receive(id_of("carol"), accuse("carol", line_of(swim_of("dave"))), now=NOW)
    moment = NOW
    while state_of(alice, "dave") != "dead":
        moment = alice.next_deadline()
        alice.receive_deadline(now=moment)
    alice.outputs()

    notice(bob, "alice")
    Talk({"alice": alice, "bob": bob, "carol": carol}).settle(NOW)

    assert state_of(bob, "dave") == "suspect"


def test_a_member_that_lists_what_is_not_so_changes_nothing() -> None:
    """Made-up members and versions are asked for once, and never believed."""
    (bob,) = friends("bob", know=(*CROWD[:20], "mallory"))
    before = bob.view_hash()
    made_up = bytes.fromhex("00112233445566778899aabbccddeeff") * 40
    versions = b"".join(id_of(name)[:8] + b"\xff" * 8 for name in CROWD[:20])
    for entries in (made_up, versions):
        for bucket in (0, id_of(CROWD[0])[0] >> 1):
            first, last = digest.first_of(bucket), digest.last_of(bucket)
            item = BucketItem(first, last, entries)
            bob.receive(id_of("mallory"), datagram(item.wire()), now=NOW)

    assert bob.view_hash() == before
    assert all(one.state == "alive" for one in bob.members())


def test_hiding_members_makes_nobody_forget_them() -> None:
    """An empty listing is a request for what is there, and no more."""
    (bob,) = friends("bob", know=(*CROWD[:20], "mallory"))
    for bucket in range(6):
        item = BucketItem(digest.first_of(bucket), digest.last_of(bucket), b"")
        bob.receive(id_of("mallory"), datagram(item.wire()), now=NOW)

    assert len(bob.members()) == 22


@pytest.mark.parametrize(
    "item",
    [
        DigestItem(bytes(digest.DIGEST_BYTES)),
        BucketItem(digest.first_of(3), digest.last_of(3), bytes(16)),
        WantItem(b"".join(id_of(name)[:8] for name in CROWD[:20])),
    ],
)
def test_questions_are_rated_for_each_member(item: Repairing) -> None:
    """A member that asks all the time gets a few answers a second, and others still get theirs."""
    bob, _ = friends("bob", "mallory", know=tuple(CROWD))
    for number in range(300):
        bob.receive(id_of("mallory"), datagram(item.wire()), now=NOW + number / 300)
    answered = sum(one.size for one in spoken(bob))

    bob.receive(id_of("member-1"), datagram(item.wire()), now=NOW + 1.0)

    assert bob.counters["repairs_refused"] > 280
    assert answered < 200_000
    assert spoken(bob) != []


MINUTE = 60


def given(swim: Swim, item: list[codec.Value], *, differs: bool) -> tuple[int, int]:
    """What mallory gets who asks thirty times a second for a minute: bytes, and streams.

    Args:
        differs: Whether her view is never that of the node that she asks, so that it asks her
            for hers, and expects listings.
    """
    sent = streams = 0
    for number in range(30 * MINUTE):
        now = NOW + number / 30
        if differs:
            swim.receive(id_of("mallory"), datagram([2, 0, bytes(8), 0]), now=now)
        swim.receive(id_of("mallory"), datagram(item), now=now)
        for output in swim.outputs():
            streams += isinstance(output, SyncWith)
            if isinstance(output, SendPlain) and output.to == id_of("mallory"):
                sent += len(output.plaintext)
    return sent, streams


@pytest.mark.parametrize("differs", [True, False])
@pytest.mark.parametrize(
    "item",
    [
        DigestItem(bytes(digest.DIGEST_BYTES)).wire(),
        BucketItem(digest.first_of(3), digest.last_of(3), b"").wire(),
        BucketItem(digest.first_of(3), digest.last_of(3), bytes(16 * 40)).wire(),
        WantItem(b"".join(id_of(name)[:8] for name in CROWD[:20])).wire(),
        WantItem(lines=b"".join(id_of(name)[:8] for name in CROWD)).wire(),
    ],
)
def test_who_asks_for_listings_again_and_again_gets_its_ration(
    item: list[codec.Value],
    differs: bool,  # noqa: FBT001  # a case
) -> None:
    """So many bytes at once and so many a second, whatever it asks, and whether it was asked."""
    bob, _ = friends("bob", "mallory", know=tuple(CROWD))
    sent, _ = given(bob, item, differs=differs)
    ration = limits.REPAIRS_AT_ONCE + MINUTE * limits.REPAIRS_PER_SECOND
    own_questions = (MINUTE + 1) * (limits.MAX_PLAINTEXT + 100) if differs else 0
    assert sent <= ration + own_questions + 50_000


def test_who_lists_nothing_of_everybody_gets_its_ration() -> None:
    """As the smallest listing that asks for most: of many buckets, each empty."""
    bob, _ = friends("bob", "mallory", know=tuple(CROWD))
    listed = [bucket for bucket in range(digest.BUCKETS) if bucket % 5 == 0]
    items = [BucketItem(digest.first_of(b), digest.last_of(b), b"").wire() for b in listed]
    sent = 0
    for number in range(30 * MINUTE):
        now = NOW + number / 30
        bob.receive(id_of("mallory"), datagram([2, 0, bytes(8), 0]), now=now)
        bob.receive(id_of("mallory"), datagram(*items), now=now)
        sent += sum(
            len(output.plaintext) for output in bob.outputs() if isinstance(output, SendPlain)
        )
    ration = limits.REPAIRS_AT_ONCE + MINUTE * limits.REPAIRS_PER_SECOND
    assert sent <= ration + (MINUTE + 1) * (limits.MAX_PLAINTEXT + 100) + 50_000


def test_a_stranger_that_asks_all_the_time_is_seldom_asked_who_it_is() -> None:
    """It speaks as a member, and never says more of itself."""
    (bob,) = friends("bob", know=tuple(CROWD[:5]))
    asked = 0
    for number in range(300):
        bob.receive(id_of("zoe"), ping(number), now=NOW + number / 300)
        asked += sum(isinstance(item, WantItem) for item in said(bob.outputs(), "zoe"))
    assert 0 < asked < 20


def test_nobody_makes_us_connect_all_the_time() -> None:
    """A listing that lacks very much is mended by stream, as often as the ration allows."""
    bob, _ = friends("bob", "mallory", know=tuple(CROWD))
    listed = sorted({digest.bucket_of(id_of(name)) for name in CROWD})
    items = [BucketItem(digest.first_of(b), digest.last_of(b), b"").wire() for b in listed[:45]]
    streams = 0
    for number in range(30 * MINUTE):
        now = NOW + number / 30
        bob.receive(id_of("mallory"), datagram([2, 0, bytes(8), 0]), now=now)
        bob.receive(id_of("mallory"), datagram(*items), now=now)
        streams += sum(isinstance(output, SyncWith) for output in bob.outputs())
    assert 0 < streams <= 3 * MINUTE


def spoken(swim: Swim) -> list[Said]:
    """All its datagrams since the last look."""
    talk = Talk({"bob": swim})
    for output in swim.outputs():
        if isinstance(output, SendPlain):
            talk.perform("bob", output, NOW)
    return talk.said


def test_one_datagram_is_one_question() -> None:
    """Two hundred small questions in one packet are answered as one."""
    bob, _ = friends("bob", "mallory", know=tuple(CROWD))
    small = WantItem(lines=id_of("member-1")[:8]).wire()

    bob.receive(id_of("mallory"), datagram(*[small] * 30), now=NOW)

    answers = [item for item in said(bob.outputs(), "mallory") if isinstance(item, LineItem)]
    assert len(answers) == 1


def test_a_stranger_is_told_nothing() -> None:
    """Only live members compare views with us."""
    (bob,) = friends("bob", know=tuple(CROWD[:5]))

    bob.receive(id_of("zoe"), datagram(DigestItem(bytes(1_024)).wire()), now=NOW)

    assert said(bob.outputs(), "zoe") == []


def test_a_member_that_we_do_not_know_presents_itself() -> None:
    """Who lost its memory is pinged by people it cannot dial; a datagram brings their record."""
    (alice,), bob = friends("alice"), swim_of("bob")
    bob.merge_untrusted(alice.sync_payload(), None, now=START)
    work_off(bob, START)
    bob.outputs()

    alice.receive(id_of("bob"), ping(), now=NOW)
    for item in said(alice.outputs(), "bob"):
        if isinstance(item, WantItem):
            bob.receive(id_of("alice"), datagram(item.wire()), now=NOW)
    for output in bob.outputs():
        if isinstance(output, SendPlain):
            alice.receive(id_of("bob"), output.plaintext, now=NOW)

    assert state_of(alice, "bob") == "alive"


def test_nobody_sends_us_away_to_a_stream_unasked() -> None:
    """To compare by stream we must have asked first: a datagram cannot make us dial."""
    (bob,) = friends("bob", know=("mallory",))

    bob.receive(id_of("mallory"), datagram(DifferItem(digest.ALL).wire()), now=NOW)

    assert bob.outputs() == []


def test_a_bucket_of_many_is_listed_without_gaps() -> None:
    """More members than one datagram holds are told in pieces that follow each other."""
    parts = view_with()
    record = swim_of("bob").own_record()
    assert record is not None
    for number in range(200):
        line = attrs.evolve(record.line, node_id=NodeId(b"\x06" + number.to_bytes(15, "little")))
        some = attrs.evolve(record, line=line)
        parts.view.add(Row(record=some, state="alive", joined_at=START, last_seen=START))

    Repair(parts).show_bucket(id_of("bob"), NOW)
    while not (pieces := listings(parts)):
        Repair(parts).show_bucket(id_of("bob"), NOW)

    assert [len(piece.entries) // 16 for piece in pieces] == [71, 71, 58]
    assert pieces[0].first == digest.first_of(3)
    assert pieces[-1].last == digest.last_of(3)
    assert all(a.last + 1 == b.first for a, b in pairwise(pieces))


def listings(parts: Parts) -> list[BucketItem]:
    """What was listed of anybody."""
    shown = said(parts.drain(), "bob")
    return [item for item in shown if isinstance(item, BucketItem) and item.entries]


def test_the_departed_of_long_ago_are_not_told_of() -> None:
    """A tombstone whose lines nobody believes any more is no difference to be mended."""
    alice, bob = friends("alice", "bob", know=("dave",))
    last = signed_line("dave", line_of(swim_of("dave")), seq=4, state=LEFT)
    alice.receive(id_of("dave"), datagram(LineItem(last.raw).wire()), now=NOW)
    alice.receive_wall_clock(UNIX + START + 8_000, now=NOW)
    alice.outputs()

    _, entries = alice.comparison(digest.ALL, now=NOW)

    assert isinstance(entries, bytes)
    prefixes = [entry.prefix for entry in digest.entries_untrusted(entries)]
    assert id_of("dave")[:8] not in prefixes
    assert id_of("bob")[:8] in prefixes
    assert state_of(bob, "dave") == "alive"


def test_a_member_behind_a_forged_sum_comes_to_light() -> None:
    """Buckets are listed although all sums agree, so nobody can hide a member for ever."""
    alice, bob = view_with("bob", "dave"), friends("bob", "alice")[0]
    repair = Repair(alice)
    dave = digest.bucket_of(id_of("dave"))
    listed: list[BucketItem] = []
    while dave not in [digest.bucket_between(item.first, item.last) for item in listed]:
        repair.show_bucket(id_of("bob"), NOW)
        shown = said(alice.drain(), "bob")
        listed += [item for item in shown if isinstance(item, BucketItem)]
    bob.outputs()

    bob.receive(id_of("alice"), datagram(listed[-1].wire()), now=NOW)

    assert WantItem(id_of("dave")[:8]) in said(bob.outputs(), "alice")


def view_with(*names: str) -> Parts:
    """What alice works with, who knows these."""
    parts = Parts(
        config=lan(),
        crypto=CRYPTO,
        identity=identity_of("alice"),
        rng=Random(1),
        wall=WallClock(UNIX, 0.0),
        view=View(id_of("alice")),
        news=Dissemination(2.0),
    )
    for name in names:
        record = swim_of(name).own_record()
        assert record is not None
        parts.view.add(Row(record=record, state="alive", joined_at=START, last_seen=START))
    return parts


def test_nothing_is_told_that_was_not_asked() -> None:
    """Equal views cost one datagram of sums and no answer."""
    alice, bob = friends("alice", "bob", know=tuple(CROWD))
    talk = Talk({"alice": alice, "bob": bob})

    notice(bob, "alice")
    talk.settle(NOW)

    assert talk.questions() == ["DigestItem"]


def test_what_it_holds_of_a_member_says_why_it_doubts() -> None:
    """A record that was wanted comes with the accusation, if there is one."""
    alice, bob, _ = friends("alice", "bob", "carol", know=("dave",))
    alice.receive(id_of("carol"), accuse("carol", line_of(swim_of("dave"))), now=NOW)
    alice.outputs()

    alice.receive(id_of("bob"), datagram(WantItem(id_of("dave")[:8]).wire()), now=NOW)

    kinds = [type(item) for item in said(alice.outputs(), "bob")]
    assert kinds[:2] == [RecordItem, SuspicionItem]
    assert state_of(bob, "dave") == "alive"
