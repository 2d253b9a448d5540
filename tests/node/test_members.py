"""What a node sees of the others, and what it hears of their coming and going."""

from __future__ import annotations

import threading

import pytest

from meshp2p import MemberEvent, UsageError, capability
from tests.node.conftest import Start
from tests.node.waiting import eventually, handles, know_each_other


@capability("code.review", version="1.2", tags={"lang": "py", "size": "big"}, limit=4)
def review() -> str:
    """Find nothing wrong."""
    return "fine"


@capability("code.explain", tags={"lang": "c"}, idempotent=True)
def explain() -> str:
    """Explain nothing."""
    return "so"


def test_members_are_filtered_by_capability_role_tags_and_namespace(start: Start) -> None:
    """One look at the local index, by any combination of filters."""
    alice = start("alice", role="orchestrator")
    bob = start("bob", capabilities=[review])
    carol = start("carol", capabilities=[explain, "gpu"])
    know_each_other(alice, bob, carol)

    assert handles(alice.members()) == {"alice", "bob", "carol"}
    assert handles(alice.members("code.*")) == {"bob", "carol"}
    assert handles(alice.members("code.review")) == {"bob"}
    assert handles(alice.members("gpu")) == {"carol"}
    assert handles(alice.members("fly")) == set()
    assert handles(alice.members(role="orchestrator")) == {"alice"}
    assert handles(alice.members(tags={"lang": "py"})) == {"bob"}
    assert handles(alice.members("code.explain", tags={"lang": "py"})) == set()
    assert handles(alice.members(namespace="default")) == {"alice", "bob", "carol"}
    assert handles(alice.members(namespace="other")) == set()


def test_a_member_shows_what_its_owner_announced(start: Start) -> None:
    """Name, version, limit, tags and addresses are those of the owner."""
    alice, bob = start("alice"), start("bob", capabilities=[review])
    know_each_other(alice, bob)

    [seen] = alice.members("code.review")
    [info] = seen.capabilities

    assert (info.name, info.version, info.limit) == ("code.review", "1.2", 4)
    assert (info.handler, info.idempotent) == (True, False)
    assert info.tags == {"lang": "py", "size": "big"}
    assert (seen.role, seen.namespace, seen.state) == ("worker", "default", "alive")
    assert tuple(str(address) for address in seen.addresses) == bob.addresses


def test_load_and_round_trip_are_learnt_on_the_way(start: Start) -> None:
    """After some time a member's round trip is known, and after a call its load."""
    alice, bob = start("alice"), start("bob", capabilities=[review])
    know_each_other(alice, bob)

    alice.call("code.review")

    [seen] = eventually(
        lambda: [m for m in alice.members("code.review") if m.rtt is not None], within=10
    )
    assert seen.rtt is not None
    assert 0 < seen.rtt < 1
    assert seen.load is not None


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"pattern": "a b"}, "pattern='a b': allowed are a name"),
        ({"pattern": "*.x"}, "pattern='*.x'"),
        ({"pattern": 5}, "pattern=5"),
        ({"state": "ill"}, "state='ill': allowed are alive, suspect, dead, left, all"),
        ({"tags": "py"}, "tags='py': allowed are texts by texts"),
        ({"role": 5}, "role=5: allowed is a text"),
        ({"namespace": 5}, "namespace=5: allowed is a text"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(
    start: Start, filters: dict[str, object], text: str
) -> None:
    """Each filter is checked, with its value and what is allowed."""
    alice = start("alice")

    with pytest.raises(UsageError) as raised:
        alice.members(**filters)  # type: ignore[arg-type]  # that is the point

    assert text in str(raised.value)


def test_coming_and_going_is_heard_in_order(start: Start) -> None:
    """One listener hears join, update and leave of a member, in that order."""
    alice = start("alice")
    heard: list[tuple[str, str]] = []

    def listen(event: MemberEvent) -> None:
        heard.append((event.name, event.member.handle))

    for name in ("member.joined", "member.updated", "member.left", "member.failed"):
        alice.on(name)(listen)

    bob = start("bob")
    eventually(lambda: ("member.joined", "bob") in heard)
    bob.announce(review)
    eventually(lambda: ("member.updated", "bob") in heard)
    bob.stop()
    eventually(lambda: ("member.left", "bob") in heard)

    assert heard == [("member.joined", "bob"), ("member.updated", "bob"), ("member.left", "bob")]
    assert handles(alice.members(state="left")) == {"bob"}
    assert handles(alice.members(state="all")) == {"alice", "bob"}


def test_a_slow_listener_loses_nothing_and_keeps_the_order(start: Start) -> None:
    """Events wait in a queue while a listener takes its time; the node goes on."""
    alice = start("alice", capabilities=[review])
    may_go, heard = threading.Event(), list[str]()

    @alice.on("member.joined")
    def listen(event: MemberEvent) -> None:
        may_go.wait(10)
        heard.append(event.member.handle)

    names = [f"bob{n}" for n in range(4)]
    for name in names:
        start(name)
        eventually(lambda name=name: name in handles(alice.members()))  # type: ignore[misc]  # bound now
    assert heard == []
    assert alice.call("code.review") == "fine"

    may_go.set()
    eventually(lambda: len(heard) == 4)
    assert heard == names


def test_an_async_listener_runs_on_the_asyncio_loop(start: Start) -> None:
    """Listeners follow the same rule as handlers."""
    alice = start("alice")
    where: list[str] = []

    @alice.on("member.joined")
    async def listen(_event: MemberEvent) -> None:
        where.append(threading.current_thread().name)

    start("bob")

    assert eventually(lambda: where) == ["meshp2p-asyncio"]


def test_a_listener_may_call(start: Start) -> None:
    """Whoever comes can be called from the listener that hears of it."""
    alice = start("alice")
    answers: list[str] = []

    @alice.on("member.joined")
    def greet(event: MemberEvent) -> None:
        answers.append(alice.call(f"@{event.member.handle}/code.review", timeout=5))

    start("bob", capabilities=[review])

    assert eventually(lambda: answers) == ["fine"]


def test_an_unknown_event_is_refused_with_the_known_ones(start: Start) -> None:
    """A typing error in the name of an event does not go unnoticed."""
    alice = start("alice")

    with pytest.raises(UsageError, match=r"event='member\.came': allowed are member\.joined, "):
        alice.on("member.came")(print)


def test_too_many_capabilities_are_refused_at_once(start: Start) -> None:
    """The sixty-fifth is refused where it is added, with the bound, and not kept."""
    alice = start("alice", capabilities=[f"l{n}" for n in range(64)])

    with pytest.raises(UsageError, match="'one-more' is one capability too many: at most 64"):
        alice.announce("one-more")

    alice.withdraw("l0")
    alice.announce("short")
    assert len(alice.members("short")) == 1


def test_a_capability_without_room_in_the_record_is_refused_and_not_kept(start: Start) -> None:
    """The error says how much there is room for; what was announced before stays."""
    alice = start("alice", capabilities=[explain])
    long = [f"{'long' * 15}{n}" for n in range(20)]

    def announce_all() -> None:
        for name in long:
            alice.announce(name)

    with pytest.raises(UsageError, match="capabilities make a record of"):
        announce_all()

    alice.announce(review)
    assert len(alice.members("code.review", role="worker")) == 1
    assert alice.call("code.explain") == "so"


def test_stats_count(start: Start) -> None:
    """Sizes now and counters since the start, as plain numbers by name."""
    alice, bob = start("alice"), start("bob", capabilities=[review])
    know_each_other(alice, bob)

    alice.call("code.review")
    stats = alice.stats()

    assert (stats["members"], stats["calls_open"], stats["streams"]) == (2, 0, 1)
    assert all(isinstance(value, int) for value in stats.values())
