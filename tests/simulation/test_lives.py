"""Each life of a node supersedes the one before, whatever became of its disk and its clock."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from meshp2p.effects import (
    Announce,
    CloseStream,
    Effect,
    OpenStream,
    Persist,
    SendDatagram,
    StreamReady,
)
from meshp2p.engine.lives import EPOCHS
from meshp2p.events import Log
from meshp2p.ids import Address
from meshp2p.simulation import ALIVE, Node, World
from meshp2p.simulation.faults import ClockJump, FullDisk, SlowDisk
from meshp2p.simulation.latency import Constant
from meshp2p.wire import codec, limits

YEAR = 365 * 86_400.0


def epoch_of(node: Node) -> int:
    """Of what it says of itself."""
    record = node.engine._swim.own_record()  # noqa: SLF001  # users do not see it
    assert record is not None
    return record.line.epoch


def saved(node: Node) -> list[codec.Value]:
    """What its disk says."""
    return [
        value
        for (table, _), row in node.disk.read().items()
        if table == EPOCHS
        for value in codec.unpack_list_untrusted(row, 2)[1:]
    ]


def what_leaves(world: World, node: Node) -> list[Effect]:
    """All that a node wants to send, as it wants it."""
    left: list[Effect] = []

    def look(who: Node, effects: Sequence[Effect]) -> None:
        if who is node:
            left.extend(
                each
                for each in effects
                if isinstance(each, SendDatagram | OpenStream | StreamReady)
            )

    world.on_effects.append(look)
    return left


@pytest.mark.parametrize("back", [0.0, -1.0, -YEAR])
def test_with_its_disk_a_node_supersedes_its_former_life(back: float) -> None:
    """Though its clock was set back, and there is nobody who could tell it."""
    world = World(1)
    alice = world.start("alice", seeds=[])
    world.run_for(1.0)
    epochs = [epoch_of(alice)]
    for _ in range(3):
        world.crash(alice)
        world.inject(ClockJump("alice", back))
        world.restart(alice)
        world.run_for(1.0)
        epochs.append(epoch_of(alice))
    assert epochs == sorted(set(epochs))
    assert saved(alice) == [epochs[-1]]


def test_without_its_disk_the_clock_is_enough() -> None:
    """If it is right, no life is as old as the one before."""
    world = World(2)
    alice = world.start("alice", seeds=[])
    world.run_for(1.0)
    before = epoch_of(alice)
    world.crash(alice, disk="wiped")
    world.restart(alice)
    assert epoch_of(alice) > before


def test_a_clock_that_was_ahead_does_no_harm_later() -> None:
    """The next life goes on from there, one number at a time."""
    world = World(3)
    alice = world.start("alice", seeds=[])
    world.run_for(1.0)
    world.crash(alice)
    with world.inject(ClockJump("alice", YEAR)):
        world.restart(alice)
        world.run_for(1.0)
        ahead = epoch_of(alice)
        world.crash(alice)
    world.restart(alice)
    assert epoch_of(alice) == ahead + 1


def test_others_believe_the_new_life_at_once() -> None:
    """They need not first show the node what it said before: its first word is newer."""
    world = World(4)
    alice, bob, _ = world.join("alice", "bob", "carol")
    world.run_for(5.0)
    before = epoch_of(bob)
    world.crash(bob)
    world.inject(ClockJump("bob", -YEAR))
    world.restart(bob)
    first = epoch_of(bob)
    world.run_until(lambda: alice.sees(bob) == ALIVE and epoch_of(bob) > before, 30.0)
    assert epoch_of(bob) == first == before + 1


@pytest.mark.parametrize("joins", [False, True])
def test_nothing_leaves_before_the_epoch_is_on_disk(
    joins: bool,  # noqa: FBT001  # a case
) -> None:
    """Else a crash in that moment would let the next life say the same differently."""
    world = World(5)
    alice, bob = world.join("alice", "bob")
    world.crash(bob)
    world.inject(SlowDisk("bob", Constant(3.0)))
    if not joins:
        world.crash(alice)
    left = what_leaves(world, bob)
    world.restart(bob)
    world.run_for(2.9)  # meanwhile alice asks it whether it is back
    assert left == []
    assert bob.handles == {"bob"}
    world.run_for(10.0)
    assert left != []
    assert not joins or alice.sees(bob) == ALIVE


def starting(world: World) -> tuple[Node, int]:
    """Alice, whose disk is slow, before it has written her epoch, and the token of that write."""
    alice = world.start("alice", seeds=[])
    world.run_for(1.0)
    world.crash(alice)
    world.inject(SlowDisk("alice", Constant(30.0)))
    tokens: list[int] = []

    def look(_who: Node, effects: Sequence[Effect]) -> None:
        tokens.extend(each.token for each in effects if isinstance(each, Persist))

    world.on_effects.append(look)
    world.restart(alice)
    world.on_effects.remove(look)
    (token,) = tokens
    return alice, token


def test_what_was_held_back_leaves_in_its_order() -> None:
    """As soon as the epoch is on disk, and by nothing else; of datagrams no more than a bound."""
    world = World(11)
    alice, token = starting(world)
    engine, there = alice.engine, Address("10.9.9.9", 1)
    sent = [SendDatagram(there, b"%d" % number) for number in range(limits.MAX_HELD_BACK + 5)]
    effects: list[Effect] = [*sent, OpenStream(1, there), StreamReady(1), CloseStream(1)]
    for effect in effects:
        engine._core.emit(effect)  # noqa: SLF001  # as its parts do
    told = Announce(Log("info", "this may be told at once"))
    engine._core.emit(told)  # noqa: SLF001  # likewise

    assert engine.effects() == [told]
    engine.receive_persisted(token + 1_000, ok=True, now=alice.now)
    assert engine.effects() == []
    engine.receive_persisted(token, ok=True, now=alice.now)
    assert engine.effects() == effects[: limits.MAX_HELD_BACK] + effects[-3:]


def test_nothing_leaves_on_a_connection_either() -> None:
    """Whoever connects meanwhile is answered a little later."""
    world = World(12)
    alice, token = starting(world)
    bob = world.start("bob", seeds=[alice])
    world.run_for(0.2)
    (stream,) = alice.streams
    assert alice.engine.stream_bytes(stream, 1 << 16, now=alice.now) == b""
    alice.feed(lambda engine, now: engine.receive_persisted(token, ok=True, now=now))
    world.run_for(2.0)
    assert bob.sees(alice) == ALIVE


def test_a_disk_that_cannot_be_written_keeps_nobody_out() -> None:
    """The clock must do, and the log says so."""
    world = World(6)
    alice = world.start("alice", seeds=[])
    bob = world.start("bob", seeds=[alice])
    world.inject(FullDisk("bob"))
    world.run_until_quiet()
    assert any("epoch" in log.text and log.level == "warning" for log in bob.logs)


def test_a_higher_epoch_that_others_show_is_written_down_too() -> None:
    """Without its disk and with a clock that was set back it learns from them, and remembers."""
    world = World(7)
    alice, bob, _ = world.join("alice", "bob", "carol")
    before = epoch_of(bob)
    world.crash(bob, disk="wiped")
    world.inject(ClockJump("bob", -100.0))
    world.restart(bob)
    assert epoch_of(bob) < before
    world.run_until(lambda: alice.sees(bob) == ALIVE and epoch_of(bob) > before, 30.0)
    world.run_for(1.0)
    assert saved(bob) == [epoch_of(bob)]


@pytest.mark.parametrize(
    "row", [b"", b"\xc1", codec.pack([1]), codec.pack([2, 5]), codec.pack([1, -1]), b"\x92\x01\xc0"]
)
def test_a_row_that_makes_no_sense_is_as_none(row: bytes) -> None:
    """And is written anew."""
    world = World(8)
    alice = world.start("alice", seeds=[])
    world.run_for(1.0)
    world.crash(alice)
    alice.disk.synced[EPOCHS, b""] = row
    world.restart(alice)
    world.run_for(1.0)
    assert saved(alice) == [epoch_of(alice)]


def test_an_absurd_epoch_on_disk_leaves_room_for_the_next() -> None:
    """Nobody believes numbers above a bound; a node with such a disk must not use them."""
    world = World(9)
    alice, bob = world.join("alice", "bob")
    world.crash(bob)
    bob.disk.synced[EPOCHS, b""] = codec.pack([1, (1 << 63) - 1])
    world.restart(bob)
    world.run_until_quiet()
    assert alice.sees(bob) == ALIVE


def test_a_guest_writes_nothing() -> None:
    """It has no life that others know of."""
    world = World(10)
    world.join("alice")
    guest = world.start("guest", guest=True)
    world.run_for(5.0)
    assert guest.disk.read() == {}
