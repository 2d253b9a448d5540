"""A newcomer is usable at once, and complete soon, whoever of those it asks dies."""

from __future__ import annotations

import pytest

from meshp2p.events import Synced
from meshp2p.gossip import digest
from meshp2p.gossip.outputs import Output, Pull, SyncWith, Tell
from meshp2p.gossip.swim import Swim
from meshp2p.gossip.welcome import AT_ONCE
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value
from tests.simulation.swim_world import START, SwimWorld, swim_of
from tests.unit.gossip.people import acquaint, id_of, work_off

NOW = START + 0.001
CROWD = [f"member-{number}" for number in range(100)]


def mesh(size: int) -> tuple[Swim, Swim]:
    """Two who know many."""
    people = [swim_of(name) for name in ("alice", "bob")]
    for name in CROWD[:size]:
        for swim in people:
            swim.merge_untrusted(swim_of(name).sync_payload(), None, now=START)
            work_off(swim, START)
    acquaint(*people)
    for swim in people:
        swim.greeting([], id_of("erin"), now=START)  # they have been here for long
    return people[0], people[1]


def greeted(zoe: Swim, alice: Swim) -> list[Output]:
    """Let a newcomer ask alice; what it does once all is verified."""
    greeting = alice.greeting(zoe.records_of([id_of("zoe")]), id_of("zoe"), now=NOW)
    zoe.greeted_untrusted(greeting, id_of("alice"), now=NOW)
    work_off(zoe, NOW)
    work_off(alice, NOW)
    return zoe.outputs()


def fetches(outputs: list[Output]) -> list[SyncWith]:
    """Whom it asks for what is missing."""
    return [output for output in outputs if isinstance(output, SyncWith)]


def tells_synced(outputs: list[Output]) -> bool:
    """Whether the application hears that the list is whole."""
    return any(isinstance(one, Tell) and isinstance(one.event, Synced) for one in outputs)


def deliver(zoe: Swim, fetch: SyncWith, source: Swim | None) -> list[Output]:
    """Let somebody answer, or nobody."""
    assert fetch.buckets is not None
    records: list[Value] | None = None
    if source is not None:
        asked = zoe.comparison(fetch.buckets, now=NOW)
        records = source.compare_untrusted(asked, id_of("zoe"), now=NOW)
    zoe.compared(records, fetch.buckets, fetch.peer, now=NOW)
    work_off(zoe, NOW)
    return zoe.outputs()


def test_a_small_mesh_is_known_after_one_answer() -> None:
    """Where there are few, the first answer holds them all, and nothing more is asked."""
    alice, _ = mesh(15)
    zoe = swim_of("zoe")

    outputs = greeted(zoe, alice)

    assert len(zoe.members()) == 18
    assert fetches(outputs) == []
    assert tells_synced(outputs)


def test_a_newcomer_to_many_gets_twenty_at_once() -> None:
    """It can call and be called after one question, however large the mesh."""
    alice, _ = mesh(100)
    zoe = swim_of("zoe")

    outputs = greeted(zoe, alice)

    assert len(zoe.members()) == AT_ONCE + 2
    assert zoe.is_present(id_of("alice"))
    assert not tells_synced(outputs)


def test_a_first_answer_stays_small() -> None:
    """A thousand newcomers at once do not make a seed send a thousand full lists."""
    alice, _ = mesh(100)

    greeting = codec.pack(alice.greeting([], id_of("zoe"), now=NOW))

    assert len(greeting) < digest.DIGEST_BYTES + (AT_ONCE + 2) * 700


def test_the_rest_comes_in_halves_from_two() -> None:
    """Each of two members is asked for half of the buckets, and no bucket for twice."""
    alice, bob = mesh(100)
    zoe = swim_of("zoe")

    one, other = fetches(greeted(zoe, alice))
    first = deliver(zoe, one, alice)
    second = deliver(zoe, other, bob)

    assert one.peer == id_of("alice")
    assert other.peer != id_of("alice")
    assert one.buckets is not None
    assert other.buckets is not None
    assert one.buckets & other.buckets == 0
    assert not tells_synced(first)
    assert tells_synced(second)
    assert zoe.view_hash() == alice.view_hash()


@pytest.mark.parametrize("dies", [0, 1])
def test_if_one_of_the_two_dies_the_other_gives_both_halves(dies: int) -> None:
    """No half of the list is missing because whoever had it is gone."""
    alice, bob = mesh(100)
    zoe = swim_of("zoe")
    asked = fetches(greeted(zoe, alice))

    (again,) = fetches(deliver(zoe, asked[dies], None))
    deliver(zoe, asked[1 - dies], bob)
    end = deliver(zoe, again, bob)

    assert again.peer == asked[1 - dies].peer
    assert again.buckets == asked[dies].buckets
    assert tells_synced(end)
    assert zoe.view_hash() == alice.view_hash()


def test_if_nobody_delivers_the_newcomer_starts_all_the_same() -> None:
    """It asks others a few times, then makes do with what it knows; views are mended later."""
    alice, _ = mesh(100)
    zoe = swim_of("zoe")
    outputs = greeted(zoe, alice)
    asked, tries = fetches(outputs), 0
    while asked:
        outputs = deliver(zoe, asked.pop(), None)
        asked += fetches(outputs)
        tries += 1

    assert tries <= 6
    assert tells_synced(outputs)


def test_records_of_a_join_are_verified_in_slices_between_probes() -> None:
    """A list of a hundred members does not hold up the answer to a ping."""
    alice, _ = mesh(100)
    zoe = swim_of("zoe")
    one, _ = fetches(greeted(zoe, alice))
    assert one.buckets is not None
    before = len(zoe.members())
    records = alice.compare_untrusted(zoe.comparison(one.buckets, now=NOW), id_of("zoe"), now=NOW)

    zoe.compared(records, one.buckets, one.peer, now=NOW)

    assert records is not None
    assert len(zoe.members()) - before <= limits.SIGNATURES_PER_INPUT / 3 < len(records)


def test_what_a_newcomer_is_told_is_not_news_to_others() -> None:
    """Whoever fetches a list of a hundred does not gossip it all over again."""
    alice, bob = mesh(100)
    zoe = swim_of("zoe")
    for fetch in fetches(greeted(zoe, alice)):
        deliver(zoe, fetch, bob)
    told = set()
    now = NOW
    for _ in range(100):
        now = zoe.next_deadline()
        zoe.receive_deadline(now=now)
        told |= {type(output) for output in zoe.outputs()}

    assert Pull not in told
    assert zoe.counters.get("claims_dropped", 0) == 0


def test_a_joiner_asks_two_and_is_whole_although_one_is_cut_off() -> None:
    """In a mesh with a network: the seed answers, then cannot be reached any more."""
    world = SwimWorld(1)
    people = world.join(*CROWD[:60])
    zoe = world.start("zoe")
    world.introduce(zoe, people[0])
    world.run_until(lambda: len(zoe.swim.members()) > AT_ONCE)
    world.part([zoe], [people[0]])

    world.run_until(lambda: len(zoe.swim.members()) == 61, at_most=5.0)

    assert zoe.sees(people[59]) == "alive"
