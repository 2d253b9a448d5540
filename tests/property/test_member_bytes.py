"""A member that lies under a true seal hurts nobody but itself."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshp2p.config import loopback
from meshp2p.engine import statistics
from meshp2p.errors import MeshError, Refused
from meshp2p.ids import show_id
from meshp2p.messaging.resolver import Target
from meshp2p.simulation import ALIVE, Agent, Handler, Node, World
from meshp2p.transport import frame
from meshp2p.wire import codec, limits
from tests.property.liar import DATAGRAM, RECORD, Changer, Lie, LyingCrypto, longer
from tests.property.taped import sizes

_KNOWN_FRAMES = {1, 2, 4, 5, 6, 7, 8, 9}

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, 2**31, 2**32, 2**53, 2**63, -1]),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=100),
    st.sampled_from([bytes(16), bytes(32), b"", [], {}, "*", "!x", "@"]),
)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def people() -> tuple[World, list[Node], LyingCrypto]:
    """Honest alice and bob; mallory, a member like them, who is about to lie."""
    world = World(5, loopback())
    liar = LyingCrypto()
    add = Handler(function=lambda a, b: a + b, takes=0.01)

    def agent() -> Agent:
        return Agent({"add": add}, on_message=lambda body: body, voter=lambda _: "yes")

    nodes = [world.start(name, agent=agent()) for name in ("alice", "bob")]
    nodes.append(world.start("mallory", agent=agent(), crypto=liar))
    world.run_until_quiet()
    return world, nodes, liar


def talk(world: World, nodes: list[Node]) -> None:
    """A little of everything, to and from mallory; what she gets back is her affair."""
    alice, bob, mallory = nodes
    alice.call("@mallory/add", 1, 2, timeout=0.3)
    mallory.call("@alice/add", 1, 2, timeout=0.3, key="k")
    mallory.call("@bob", "hello", timeout=0.3)
    bob.call("@mallory", "x" * 70_000, timeout=0.3)
    mallory.cancel(mallory.call("@bob", "never mind"))
    for owner in (alice, mallory):
        try:
            world.auction(owner, "add", 1, 2, close_after=0.1, deadline=0.6)
            world.vote(owner, "ship it?", ["yes", "no"], closes_in=0.3)
        except MeshError:
            continue  # she has told everybody that she left, or that they cannot add
    world.run_for(0.7)


def counted(*nodes: Node) -> int:
    """How often something was refused, dropped or ignored, or had to be done again."""
    names = (*statistics.REFUSED, *statistics.CALLS, *statistics.MEMBERSHIP)
    return sum(node.engine.stats()[name] for node in nodes for name in names)


def is_unhurt(world: World, nodes: list[Node]) -> bool:
    """Whether the honest two are within their limits, and of use to each other."""
    alice, bob, _ = nodes
    for node in (alice, bob):
        found = sizes(node.engine)
        large = {path: size for path, size in found.items() if size > limits.MAX_MEMBERS}
        assert all(path.endswith(("_inbox", "_raw", "_buffer", ".data")) for path in large), large
    world.run_for(3.0)
    calls = [alice.call("@bob/add", 1, 2), bob.call("@alice/add", 3, 4)]
    world.run_for(1.0)
    assert [call.result for call in calls] == [3, 7]
    assert [node.engine.stats()["handlers_running"] for node in (alice, bob)] == [0, 0]
    return (alice.sees(bob), bob.sees(alice)) == (ALIVE, ALIVE)


def surely_wrong(channel: str, plaintext: bytes) -> bool:
    """Whether nobody could take it for something of this or a later version."""
    if channel == RECORD:
        kind = plaintext[0] & ~frame.END if plaintext else 1
        return kind < frame.SKIPPABLE and kind not in _KNOWN_FRAMES
    try:
        return not isinstance(codec.unpack_untrusted(plaintext), list) and channel == DATAGRAM
    except MeshError:
        return channel == DATAGRAM and bool(plaintext)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8), st.integers(0, 12))
def test_arbitrary_bytes_under_a_true_seal_never_raise_and_are_counted(
    garbage: list[bytes], skipped: int
) -> None:
    """In datagrams, records and greetings alike."""
    world, nodes, liar = people()
    alice, bob, _ = nodes
    wrong: list[bytes] = []
    waiting = [b""] * skipped + garbage

    def lie(channel: str, plaintext: bytes) -> bytes:
        if not waiting:
            return plaintext
        instead = waiting.pop(0)
        if len(waiting) >= len(garbage):
            return plaintext
        if surely_wrong(channel, instead):
            wrong.append(instead)
        return instead

    before = counted(alice, bob)
    liar.lie = lie
    talk(world, nodes)
    assert not wrong or counted(alice, bob) > before
    assert is_unhurt(world, nodes)


@given(st.lists(st.tuples(st.integers(0, 2**32), values), min_size=1, max_size=12))
def test_valid_messages_with_one_field_changed_never_raise(changes: list[tuple[int, Any]]) -> None:
    """Whatever the field: of an item, a frame, a head, a body, or of what is signed."""
    world, nodes, liar = people()
    identity = nodes[2].identity
    changers = [Changer(identity, liar, Random(seed), new) for seed, new in changes]
    told = 0

    def lie(channel: str, plaintext: bytes) -> bytes:
        nonlocal told
        told += 1
        return changers[told % len(changers)].plaintext(channel, plaintext)

    liar.lie = lie
    talk(world, nodes)
    liar.lie = None
    assert told
    assert is_unhurt(world, nodes)


def test_messages_of_a_later_version_are_understood_as_far_as_they_are_known() -> None:
    """Arrays that grew, unknown items and frames: everything works as before."""
    world, nodes, liar = people()
    alice, bob, mallory = nodes
    lies: Lie = longer
    liar.lie = lies
    carol = world.start("carol", agent=Agent(on_message=lambda body: body))
    world.run_until_quiet()
    calls = [alice.call("@mallory/add", 1, 2), mallory.call("@bob/add", 3, 4),
             mallory.call("@carol", "x" * 200_000), carol.call("@mallory", 5)]  # fmt: skip
    auction = world.auction(mallory, "add", 5, 6)
    vote = world.vote(mallory, "ship it?", ["yes", "no"], among="add", faulty=0)
    world.run_for(8.0)
    assert [call.result for call in calls] == [3, 7, "x" * 200_000, 5]
    assert auction.outcome is not None
    assert auction.outcome.result == 11
    assert vote.error is None
    heard = [*alice.events, *bob.events, *carol.events]
    assert not [each for each in heard if each.name in ("member.suspected", "member.failed")]
    assert alice.engine.stats()["items_unknown"] > 0


def test_a_method_of_a_later_version_is_refused_politely() -> None:
    """The mesh's own methods begin with "!"; one that nobody knows is not a broken stream."""
    world, (alice, bob, _), _ = people()
    target = Target(f"#{show_id(bob.id)}", "!x", id=bob.id)
    call = alice.command(lambda engine, now: engine.call(target, b"", now=now))
    world.run_for(1.0)
    assert isinstance(call.error, Refused)
    assert bob.engine.stats().get("stream_dropped", 0) == 0


# --- floods -----------------------------------------------------------------------------


def flood(count: int, make: Callable[[int], list[Any]]) -> tuple[World, Node]:
    """Let mallory fill all that she says by datagram with items of her own."""
    world, nodes, liar = people()
    number = 0

    def lie(channel: str, plaintext: bytes) -> bytes:
        nonlocal number
        if channel != DATAGRAM or number >= count:
            return plaintext
        items: list[Any] = []
        while number < count and len(codec.pack([*items, make(number)])) <= limits.MAX_PLAINTEXT:
            items.append(make(number))
            number += 1
        return codec.pack(items)

    liar.lie = lie
    while number < count:
        world.run_for(5.0)
    assert is_unhurt(world, nodes)
    return world, nodes[0]


def test_a_flood_of_lines_about_nobody_is_bounded() -> None:
    """Unknown members are asked after, so many at a time and no more."""

    def line(n: int) -> list[Any]:
        fields = [1, n.to_bytes(16, "big"), bytes(16), 10**12, 1, 0, 2**31]
        return [10, codec.pack(fields) + bytes(64)]

    _, alice = flood(3_000, line)
    largest = max(size for path, size in sizes(alice.engine).items() if "_buffer" not in path)
    assert largest <= limits.MAX_PULLS


_ASKED = "engine._answers._rations._budgets._left"
_TRUST = "engine._core.trust"
_REMEMBERED = (f"{_TRUST}._proved._names", f"{_TRUST}._signed._names", f"{_TRUST}._lately", _ASKED)
"""What was verified, and what each asked for lately: bounded, so that whoever comes again costs
less, and cannot ask for more by coming again."""


def test_many_guests_leave_nothing_behind() -> None:
    """Who comes, asks and goes is forgotten: a shell script that calls all day fills nothing."""
    world = World(1, loopback())
    (alice,) = world.join("alice", agent=Agent(on_message=len))
    world.run_for(1.0)
    largest: list[int] = []
    for n in range(40):
        guest = world.start(f"guest{n}", guest=True, seeds=[alice])
        world.run_until(lambda: guest.handles == {"alice"}, 5.0)  # noqa: B023  # used at once
        call = guest.call("@alice", "hello")
        world.run_until(lambda: call.is_done)  # noqa: B023
        world.leave(guest)
        world.run_until(lambda: not guest.is_running)  # noqa: B023
        world.run_for(1.0)
        if n in (9, 39):
            kept = sizes(alice.engine)
            largest.append(sum(size for path, size in kept.items() if path not in _REMEMBERED))
    assert largest[1] <= largest[0] + 10
