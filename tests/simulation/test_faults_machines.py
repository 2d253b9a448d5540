"""Faults of one machine: crashes, standing still, being slow, wrong clocks, bad disks."""

from __future__ import annotations

import math

import pytest

from meshp2p.config import lan
from meshp2p.effects import Record
from meshp2p.engine import Engine
from meshp2p.ids import Seconds
from meshp2p.simulation import ALIVE, DEAD, Agent, Handler, Node, World
from meshp2p.simulation.charges import Charges
from meshp2p.simulation.disk import Left
from meshp2p.simulation.faults import (
    ClockJump,
    Crash,
    CrashAtWrite,
    Drain,
    FailingDisk,
    FullDisk,
    Leave,
    Schedule,
    Skew,
    Slow,
    SlowDisk,
    Stall,
    Timed,
)
from meshp2p.simulation.happening import Happening
from meshp2p.simulation.latency import Constant

ADD = Handler(function=lambda a, b: a + b, idempotent=True)


class Diary(Engine):
    """An engine that writes down when it was told what."""

    told: list[tuple[str, Seconds, float]]

    def receive_wall_clock(self, unix: float, *, now: Seconds) -> None:
        """Told the wall clock."""
        self.__dict__.setdefault("told", []).append(("wall", now, unix))
        super().receive_wall_clock(unix, now=now)

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> None:
        """Told that something was written, or not."""
        self.__dict__.setdefault("told", []).append(("disk", now, ok))
        super().receive_persisted(token, ok=ok, now=now)


def told(node: Node, what: str) -> list[tuple[float, float]]:
    """When an engine was told that, and with which value."""
    engine = node.engine
    assert isinstance(engine, Diary)
    return [(now, value) for kind, now, value in engine.told if kind == what]


# --- crashes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "found"), [("kept", {b"a", b"b"}), ("unsynced_lost", {b"a"}), ("wiped", set())]
)
def test_a_crash_leaves_the_disk_as_it_says(left: Left, found: set[bytes]) -> None:
    """All writes, those that were synced, or nothing and another journal."""
    world = World()
    alice = world.start("alice")
    world.run_for(1.0)  # what a start writes is on disk
    journal = alice.identity.journal_id
    alice.disk.write((Record("t", b"a", b"1"),))
    alice.disk.sync_oldest(ok=True)
    alice.disk.write((Record("t", b"b", b"2"),))
    world.inject(Crash("alice", disk=left)).remove()
    assert alice.is_running
    assert {key for table, key in alice.disk.read() if table == "t"} == found
    assert (alice.identity.journal_id != journal) == (left == "wiped")
    counted = (world.coverage["crash.unsynced_lost"], world.coverage["crash.wiped"])
    assert counted == (left != "kept", left == "wiped")


def test_a_crash_may_wait_for_the_moment_between_a_write_and_its_sync() -> None:
    """The moment at which promises are lost."""
    world = World()
    alice, _ = world.join("alice", "bob", agent=Agent({"work": ADD}))
    guard = world.inject(CrashAtWrite("alice", down=1.0))
    world.run_for(5.0)
    assert alice.is_running
    world.auction(alice, "work", 1, 2)
    world.run_until(lambda: not alice.is_running, 5.0)
    assert world.coverage["crash.unsynced_lost"] == 1
    world.run_for(1.1)
    assert alice.is_running
    guard.remove()


def test_a_schedule_is_kept_to_the_hour() -> None:
    """Faults begin and end when it says, and calm ends those without an end."""
    world = World()
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.run_to(1_005.0)
    schedule = Schedule(
        (
            Timed(6.0, Crash("bob"), 8.0),
            Timed(7.0, Leave("carol"), math.inf),
            Timed(9.0, Stall("alice")),
        )
    )
    world.schedule(schedule)
    world.run_to(1_007.9)
    assert [bob.is_running, carol.is_running, alice.is_paused] == [False, False, False]
    world.run_to(1_010.0)
    assert [bob.is_running, carol.is_running, alice.is_paused] == [True, False, True]
    assert alice.sees(carol) != DEAD
    world.calm()
    assert [carol.is_running, alice.is_paused, alice.sees(bob)] == [False, False, ALIVE]


def test_who_stops_in_order_has_everything_on_disk() -> None:
    """The journal is closed last; the next life's writes are its own."""
    world = World()
    alice, _ = world.join("alice", "bob", agent=Agent({"work": ADD}))
    alice.disk.write((Record("t", b"a", b"1"),))
    world.leave(alice)
    world.run_until(lambda: not alice.is_running)
    assert [alice.disk.unsynced, alice.disk.ever_held(b"1")] == [0, True]


# --- time -------------------------------------------------------------------------------


@pytest.mark.parametrize("asleep", [False, True])
def test_a_laptops_sleep_is_not_counted_by_its_monotonic_clock(
    asleep: bool,  # noqa: FBT001  # a case
) -> None:
    """A stall is; so deadlines pass during one, and not during the other."""
    world = World()
    alice = world.start("alice")
    world.run_for(5.0)
    fired: list[float] = []
    before = alice.now
    with world.inject(Stall("alice", asleep=asleep)):
        alice.later(0.0, lambda _engine, now: fired.append(now))
        world.run_for(100.0)
        assert fired == []
    assert fired == [before if asleep else before + 100.0]
    assert alice.now - before == (0.0 if asleep else 100.0)
    assert alice.clock.unix == world.unix  # the clock on the wall is right in both
    world.run_for(5.0)
    happened = {kind for kind, times in world.coverage.items() if times}
    assert happened >= {"stall", "stall.asleep" if asleep else "stall.awake"}
    assert len(happened & {"stall.asleep", "stall.awake"}) == 1


def test_a_process_that_is_started_on_a_sleeping_machine_begins_when_it_wakes() -> None:
    """And sleeps nest: the last one to end wakes it."""
    world = World(2)
    alice, bob = world.join("alice", "bob")
    first = world.inject(Stall("bob", asleep=True))
    second = world.inject(Stall("bob", asleep=True))
    world.inject(Crash("bob")).remove()
    before = bob.now
    world.run_for(10.0)
    first.remove()
    world.run_for(10.0)
    paused = [bob.is_paused]
    assert bob.now == before
    second.remove()
    paused.append(bob.is_paused)
    assert paused == [True, False]
    world.run_until_quiet()
    assert alice.sees(bob) == ALIVE
    assert world.coverage["stall"] == 0


def test_who_slept_for_a_minute_is_welcome_again() -> None:
    """Its own clock says that nothing happened."""
    world = World(2)
    alice, bob, carol = world.join("alice", "bob", "carol")
    with world.inject(Stall("bob", asleep=True)):
        world.run_for(60.0)
        assert alice.sees(bob) == DEAD
    world.run_until_quiet(60.0)
    assert bob.sees(carol) == ALIVE


def test_a_wrong_wall_clock_is_what_the_engine_is_told() -> None:
    """Ahead, drifting, and right again when it is over."""
    world = World(make_engine=Diary)
    alice = world.start("alice")
    guard = world.inject(Skew("alice", 60.0, drift=0.01))
    world.run_for(25.0)
    guard.remove()
    world.run_for(10.0)
    off = [unix - now - (world.unix - world.now) for now, unix in told(alice, "wall")]
    assert off == pytest.approx([0.0, 60.1, 60.2, 0.0], abs=1e-3)
    assert world.coverage["skew"] == 2


def test_a_jump_of_the_wall_clock_is_told_at_once() -> None:
    """There and back."""
    world = World(make_engine=Diary)
    alice = world.start("alice")
    with world.inject(ClockJump("alice", -600.0)):
        world.run_for(1.0)
    off = [unix - now - (world.unix - world.now) for now, unix in told(alice, "wall")]
    assert off == pytest.approx([0.0, -600.0, 0.0])
    assert world.coverage["clock_jump"] == 2


def test_who_drains_is_called_again_once_that_is_over() -> None:
    """Meanwhile the other one does all the work; a process that is gone is left alone."""
    world = World(seed=7)
    alice, bob, carol = world.join("alice", "bob", "carol", handlers={"add": ADD})
    drains = world.inject(Drain("bob"))
    world.run_for(1.0)
    for number in range(6):
        alice.call("add", number, 1)
    world.run_for(1.0)
    assert bob.times_run("add") == 0
    assert alice.times_run("add") + carol.times_run("add") == 6
    drains.remove()
    world.run_for(1.0)
    assert [member.draining for member in alice.members] == [False] * 3
    with world.inject(Drain("bob")):
        world.crash(bob)
    assert not bob.is_running
    assert world.coverage["drain"] == 2


# --- work --------------------------------------------------------------------------------


def round_trip(world: World, one: Node, other: Node) -> float:
    """Seconds that a call takes."""
    pending = one.call(f"@{other.name}/add", 1, 2)
    world.run_until(lambda: pending.is_done)
    assert pending.result == 3
    return (pending.ended or math.inf) - pending.began


def test_a_slow_node_answers_later_and_everything_in_order() -> None:
    """Each input costs it a tenth of a second, and the next one waits."""
    world = World()
    alice, bob = world.join("alice", "bob", agent=Agent({"add": ADD}))
    quick = round_trip(world, alice, bob)
    with world.inject(Slow("bob", 0.1)):
        assert round_trip(world, alice, bob) > quick + 0.2
    world.run_for(5.0)
    assert round_trip(world, alice, bob) < quick + 0.1
    assert world.coverage["slow"] > 0


def test_work_that_is_charged_takes_time() -> None:
    """With signatures at half a second each, nodes meet later; free of charge at once."""
    took = []
    for charges in (None, Charges(), Charges(verify=0.5)):
        world = World(3, lan(), charges=charges)
        for name in ("alice", "bob", "carol"):
            world.start(name)
        took.append(world.run_until_quiet())
    free, usual, dear = took
    assert free < usual < free + 0.1
    assert dear > free + 1.0


# --- disks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "ok"),
    [
        (SlowDisk("alice", Constant(2.0)), "disk_slow", True),
        (FullDisk("alice"), "disk_full", False),
        (FailingDisk("alice", 1.0), "disk_failed", False),
    ],
)
def test_a_bad_disk_answers_late_or_not_well(
    fault: SlowDisk | FullDisk | FailingDisk,
    kind: str,
    ok: bool,  # noqa: FBT001  # a case
) -> None:
    """And is as good as new afterwards."""
    world = World(make_engine=Diary)
    alice, _ = world.join("alice", "bob", agent=Agent({"work": ADD}))
    engine = alice.engine
    assert isinstance(engine, Diary)
    engine.told.clear()
    written = len(alice.disk.synced)
    with world.inject(fault):
        began = world.now
        world.auction(alice, "work", 1, 2)
        world.run_for(5.0)
        (at, worked), *_ = told(alice, "disk")
        assert bool(worked) == ok
        assert (at - began > 2.0) == (kind == "disk_slow")
        assert world.coverage[kind] >= 1
        assert (len(alice.disk.synced) > written) == ok
    engine.told.clear()
    world.auction(alice, "work", 1, 2)
    world.run_for(5.0)
    assert all(worked for _, worked in told(alice, "disk"))
    assert told(alice, "disk")


# --- watching ------------------------------------------------------------------------------


def test_what_happens_is_told_to_whoever_watches() -> None:
    """Everything that a picture needs, each packet with a number of its own."""
    world = World(conditions=None)
    seen: list[Happening] = []
    world.watchers.append(seen.append)
    alice, bob = world.join("alice", "bob", agent=Agent({"add": ADD}))
    with world.cut(alice, bob):
        world.run_for(1.0)
    round_trip(world, alice, bob)
    world.auction(alice, "add", 1, 2)
    world.run_for(3.0)
    world.pause(bob)
    world.resume(bob)
    world.crash(bob)
    world.run_for(1.0)
    world.restart(bob)
    world.leave(bob)
    world.run_for(2.0)
    told_kinds = {each.kind for each in seen}
    assert told_kinds >= {
        *("send", "recv", "drop", "refuse", "open", "close", "timer", "view", "call", "handler"),
        *("finish", "persist", "sync", "decide", "fault", "heal", "crash", "restart", "pause"),
        *("resume", "leave", "join"),
    }
    sent = {each.detail["id"] for each in seen if each.kind == "send"}
    assert {each.detail["id"] for each in seen if each.kind == "recv"} <= sent
    assert len(sent) == sum(each.kind == "send" for each in seen)
    moments = [each.at for each in seen]
    assert moments == sorted(moments)


def test_watching_changes_nothing() -> None:
    """A run that is looked at is the same run."""
    traces = []
    for watchers in ([], [lambda _happening: None]):
        world = World(5)
        world.watchers.extend(watchers)
        world.join("alice", "bob", "carol")
        traces.append(world.trace)
    assert traces[0] == traces[1]
