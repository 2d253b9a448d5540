"""Faults of the network, packet by packet: each does what its name says, and stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from meshp2p.simulation import World
from meshp2p.simulation.faults import (
    Bandwidth,
    BurstyLoss,
    Crash,
    CrashAtWrite,
    Cut,
    Delay,
    Duplicate,
    Fault,
    Hold,
    Loss,
    Mtu,
    Nat,
    Partition,
    Reorder,
)
from meshp2p.simulation.faults.fault import paths
from meshp2p.simulation.latency import AnyLatency, Constant, Exponential, LogNormal, Uniform
from meshp2p.simulation.links import Conditions, Lane
from meshp2p.simulation.packets import Link

ALICE_TO_BOB = ("alice", "bob")
STILL = Conditions(delay=(0.01, 0.01))


class Post:
    """A world of links alone, and what arrives in it."""

    def __init__(self, *faults: Fault, seed: int = 1) -> None:
        """Let the faults begin at once."""
        self.world = World(seed, conditions=STILL)
        self.guards = [self.world.inject(fault) for fault in faults]
        self.arrived: list[tuple[int, float]] = []

    def send(self, count: int, *, size: int = 100, gap: float = 0.001) -> list[int]:
        """Send numbered datagrams from alice to bob; return the numbers that arrive."""
        for number in range(count):
            self.world.links.send_datagram(ALICE_TO_BOB, self._arrival(number), size)
            self.world.run_for(gap)
        self.world.run_for(60.0)
        return [number for number, _ in self.arrived]

    def send_stream(self, count: int, *, size: int = 100) -> list[int]:
        """The same in order, as pieces of a stream."""
        lane = Lane(ALICE_TO_BOB)
        for number in range(count):
            self.world.links.send_in_order(lane, self._arrival(number), size)
        self.world.run_for(600.0)
        return [number for number, _ in self.arrived]

    def _arrival(self, number: int) -> Callable[[], None]:
        sent = self.world.now
        return lambda: self.arrived.append((number, self.world.now - sent))

    @property
    def ways(self) -> list[float]:
        """How long each took."""
        return [way for _, way in self.arrived]


# --- lost ----------------------------------------------------------------------------


def test_a_share_of_all_datagrams_is_lost_and_counted() -> None:
    """Every fifth, more or less."""
    post = Post(Loss(0.2))
    arrived = post.send(1_000)
    assert 750 < len(arrived) < 850
    assert post.world.coverage["loss"] == 1_000 - len(arrived)


def test_bursty_loss_comes_in_bursts() -> None:
    """As much is lost as with even loss of that share, but in fewer and longer runs."""
    runs = []
    for fault in (BurstyLoss(turns_bad=0.02, turns_good=0.1, lost_when_bad=1.0), Loss(0.15)):
        arrived = set(Post(fault).send(2_000))
        lost = [number for number in range(2_000) if number not in arrived]
        assert 150 < len(lost) < 450
        runs.append(len(lost) / sum(number - 1 not in lost for number in lost))
    assert runs[0] > 3 * runs[1]


def test_datagrams_above_the_mtu_are_lost_and_streams_cope() -> None:
    """The black hole of every tunnel."""
    assert Post(Mtu(576)).send(3, size=577) == []
    assert Post(Mtu(576)).send(3, size=576) == [0, 1, 2]
    assert Post(Mtu(576)).send_stream(3, size=60_000) == [0, 1, 2]


@pytest.mark.parametrize(
    "ways", [paths(["alice"], ["bob", "carol"], both=True), (("alice", "*"), ("*", "alice"))]
)
def test_a_cut_of_both_ways_is_counted_as_one(ways: tuple[Link, ...]) -> None:
    """A cable is another trouble than a link on which one still hears the other."""
    post = Post(Cut(ways))
    assert post.send(5) == []
    assert post.world.coverage["cut"] == post.world.coverage["cut.both_ways"] == 5
    assert post.world.coverage["cut.one_way"] == 0


def test_a_cut_is_one_way_and_streams_wait_it_out() -> None:
    """What is lost is lost; what is a stream comes when the cable is back."""
    post = Post(Cut((ALICE_TO_BOB,)))
    back: list[str] = []
    post.world.links.send_datagram(("bob", "alice"), lambda: back.append("here"))
    assert post.send(5) == []
    assert back == ["here"]
    assert post.world.coverage["cut"] == post.world.coverage["cut.one_way"] == 5
    assert post.world.coverage["cut.both_ways"] == 0
    stream = Post(Cut((ALICE_TO_BOB,)))
    stream.world.after(10.0, stream.guards[0].remove)
    assert stream.send_stream(3) == [0, 1, 2]
    assert min(stream.ways) > 10.0


@pytest.mark.parametrize(
    ("link", "passes"),
    [
        (("alice", "bob"), True),
        (("alice", "carol"), False),
        (("dave", "alice"), False),
        (("bob", "dave"), True),  # the bridge
        (("alice", "zoe"), True),  # whom nobody named
    ],
)
def test_a_partition_leaves_bridges_and_strangers_alone(
    link: tuple[str, str],
    passes: bool,  # noqa: FBT001  # a case
) -> None:
    """Two reach each other if some group has both."""
    world = World(1, conditions=STILL)
    world.inject(Partition((("alice", "bob"), ("bob", "carol", "dave"))))
    arrived: list[bool] = []
    world.links.send_datagram(link, lambda: arrived.append(True))
    world.run_for(1.0)
    assert arrived == [True] * passes


# --- late, twice, out of order -------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "median", "most"),
    [
        (Constant(0.1), 0.1, 0.1),
        (Uniform(0.0, 1.0), 0.5, 1.0),
        (Exponential(0.1, least=0.2), 0.269, 3.0),
        (LogNormal(0.1, 1.0), 0.1, 30.0),
    ],
)
def test_delays_follow_their_distribution(by: AnyLatency, median: float, most: float) -> None:
    """Half of all packets take less than the median, and none too long."""
    post = Post(Delay(by))
    post.send(1_000)
    ways = sorted(way - 0.01 for way in post.ways)
    assert ways[500] == pytest.approx(median, rel=0.2)
    assert ways[-1] <= most + 1e-9
    assert len({round(way, 9) for way in ways}) > 900 or by == Constant(0.1)


def test_reordered_datagrams_are_overtaken_and_nothing_is_lost() -> None:
    """Only what was really overtaken is counted."""
    post = Post(Reorder(0.1, Constant(0.0105)))
    arrived = post.send(500)
    assert sorted(arrived) == list(range(500))
    behind = sum(max(arrived[: at + 1]) > number for at, number in enumerate(arrived))
    assert behind > 20
    assert post.world.coverage["reorder"] == behind
    assert Post().send(50) == list(range(50))


def test_duplicates_arrive_twice_the_copy_later() -> None:
    """And streams are spared: TCP would not let them through."""
    post = Post(Duplicate(0.5, Constant(2.0)))
    counted = Counter(post.send(400))
    twice = sum(count == 2 for count in counted.values())
    assert set(counted.values()) == {1, 2}
    assert 150 < twice < 250
    assert max(post.ways) == pytest.approx(2.01)
    assert Post(Duplicate(0.5, Constant(2.0))).send_stream(50) == list(range(50))


def test_held_packets_go_on_in_their_order() -> None:
    """Datagrams and streams alike, when the guard is removed."""
    post = Post(Hold((ALICE_TO_BOB,)))
    post.world.after(5.0, post.guards[0].remove)
    assert post.send(4) == [0, 1, 2, 3]
    assert min(post.ways) > 4.9
    assert post.world.coverage["hold"] == 4


# --- narrow ---------------------------------------------------------------------------


def test_a_narrow_link_carries_its_rate_and_loses_what_its_queue_cannot_hold() -> None:
    """10 kB/s: a burst of 2 kB at once, 5 kB in the queue, the rest of 20 kB is lost."""
    post = Post(Bandwidth(10_000.0, burst=2_000, queue=5_000))
    arrived = post.send(20, size=1_000, gap=0.0)
    assert arrived == list(range(7))
    assert post.ways == pytest.approx([0.01, 0.01, 0.11, 0.21, 0.31, 0.41, 0.51])
    assert post.world.coverage["bandwidth"] == 5 + 13


def test_a_stream_on_a_narrow_link_is_slow_and_whole() -> None:
    """A hundred kilobytes at ten a second take ten seconds."""
    post = Post(Bandwidth(10_000.0, burst=1_000, queue=5_000))
    assert post.send_stream(10, size=10_000) == list(range(10))
    assert max(post.ways) == pytest.approx(9.91)


# --- guards and draws --------------------------------------------------------------------


def test_a_fault_ends_with_its_guard() -> None:
    """Removed by hand, or with the block; a second time does nothing."""
    post = Post()
    with post.world.inject(Loss(1.0)) as guard:
        assert post.send(3) == []
    guard.remove()
    assert post.send(3) == [0, 1, 2]
    assert post.world.faults == {}


def test_faults_of_some_paths_spare_the_others() -> None:
    """A star stands for anybody."""
    world = World(1, conditions=STILL)
    world.inject(Loss(1.0, paths=(("*", "bob"), ("carol", "alice"))))
    arrived: list[tuple[str, str]] = []
    for link in paths(["alice", "bob", "carol"], ["alice", "bob", "carol"]):
        world.links.send_datagram(link, lambda link=link: arrived.append(link))  # type: ignore[misc]  # mypy cannot infer it
    world.run_for(1.0)
    assert arrived == [("alice", "carol"), ("bob", "alice"), ("bob", "carol")]


@pytest.mark.parametrize("other", [Delay(Uniform(0.0, 0.5)), Duplicate(0.3, Constant(0.1))])
def test_a_fault_that_is_taken_away_leaves_what_the_others_do(other: Fault) -> None:
    """Which packets are lost does not depend on what else goes wrong."""
    assert set(Post(Loss(0.3), other).send(300)) == set(Post(Loss(0.3)).send(300))


def test_two_faults_on_one_link_draw_each_for_itself() -> None:
    """What two lossy stretches of a path let through is what both let through."""
    arrived = Post(Loss(0.5), Loss(0.501)).send(1_000)
    assert 200 < len(arrived) < 300


def test_faults_print_as_the_code_that_makes_them() -> None:
    """So a schedule can be pasted into a test."""
    fault = Loss(0.2, paths=(("alice", "*"),))
    assert eval(repr(fault), {"Loss": Loss}) == fault  # noqa: S307  # that is the promise


def test_a_connection_that_is_given_up_is_not_tried_any_more() -> None:
    """However long a partition lasts, what is sent into it does not become more."""
    world = World(1)
    people = [world.start(name) for name in ("alice", "bob", "carol", "dave")]
    world.run_until_quiet()
    world.partition(people[:2], people[2:])
    lost = []
    for _ in range(3):
        before = world.coverage["partition"]
        world.run_for(400.0)
        lost.append(world.coverage["partition"] - before)

    assert 0 < lost[2] < 1.5 * lost[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Loss(20),
        lambda: Loss(-0.1),
        lambda: Loss(float("nan")),
        lambda: Duplicate(2.0, later=Constant(0.1)),
        lambda: Crash("bob", disk="wipe"),  # type: ignore[arg-type]  # that is the mistake
        lambda: CrashAtWrite("bob", disk="lost"),  # type: ignore[arg-type]  # likewise
        lambda: Nat(("bob",), "cone"),  # type: ignore[arg-type]  # likewise
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused(make: Callable[[], Fault]) -> None:
    """Otherwise a word with a slip in it would quietly be another fault, or none."""
    with pytest.raises(ValueError, match=r"must be"):
        make()
