"""Benchmarks of membership at tiny sizes: what they print is what they saw."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.membership import lifeguard, rapid, readings, real, serf, simulated, table
from benchmarks.membership.__main__ import main
from benchmarks.membership.forks import Forks, version
from benchmarks.membership.mesh import Mesh
from benchmarks.membership.virtual import (
    Ears,
    Scales,
    death,
    is_whole,
    joined,
    states,
    storm,
)
from meshp2p.config import lan
from meshp2p.simulation import World
from meshp2p.simulation.faults import Cut

REPOSITORY = Path(__file__).parents[2]


# --- tables ---------------------------------------------------------------------------


def test_above_each_table_stands_the_configuration() -> None:
    """Whoever reads a figure sees with which values it was measured."""
    shown = str(table.Table(title="Deaths", config=lan(), rows=[{"nodes": 3, "s": None}]))

    assert shown.index("probe_interval 1") < shown.index("Deaths") < shown.index("nodes")
    assert "suspicion_min_multiplier 2," in shown
    assert shown.rstrip().endswith("-")  # a figure that nobody has


def test_a_run_that_never_ended_is_no_figure_but_is_counted() -> None:
    """A worst case that never came is not hidden by those that did."""
    row = table.spread([1.0, None, 3.0, 2.0], "whole")

    assert row == {"whole, median": 2.0, "whole, worst": 3.0, "whole, never": "1 of 4"}
    assert "whole, never" not in table.spread([1.0], "whole")
    assert table.spread([None], "whole")["whole, worst"] is None


def test_columns_are_as_wide_as_they_must_be() -> None:
    """Rows may have different figures; each stands below its heading."""
    lines = table.aligned([{"of": "alice", "s": 1.5}, {"of": "bob", "B": 1_200}])

    assert lines == ["of       s      B", "alice  1.5      -", "bob      -  1,200"]


# --- readings -------------------------------------------------------------------------


def test_what_a_process_computes_is_counted() -> None:
    """A loop of a fifth of a second costs at least a tenth, of this process and no other."""
    before = readings.cpu_seconds([os.getpid()])
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass

    assert 0.1 <= readings.cpu_seconds([os.getpid()]) - before < 2.0
    assert readings.resident_bytes([os.getpid()])[0] > 1_000_000


def test_traffic_is_what_has_come_meanwhile() -> None:
    """Two readings of the kernel's counters are subtracted."""
    before, after = readings.Traffic(1_000, 10), readings.Traffic(1_500, 14)

    assert after.since(before) == readings.Traffic(500, 4)
    assert readings.Traffic.now().sent >= 0


# --- real processes -------------------------------------------------------------------


@pytest.mark.slow
def test_real_processes_report_when_their_own_list_is_whole() -> None:
    """Three processes start at a signal; each tells of all three within the time measured."""
    shown = real.join([3], 1, [Mesh])

    (row,) = shown.rows
    assert 0.0 < row["whole, worst"] < 60.0
    assert row["of"].startswith("meshp2p ")
    assert any("Machine before" in note for note in shown.notes)


@pytest.mark.slow
def test_real_processes_report_a_death_and_the_return() -> None:
    """One of three is killed twice; in between it is back, and all list all."""
    shown = real.crash([3], 2, [Mesh], "kill", rest=0.0)

    (row,) = shown.rows
    assert row["deaths"] == 2
    assert 0.0 < row["first, median"] <= row["all, worst"] < 60.0
    assert "all, never" not in row


@pytest.mark.slow
def test_only_what_was_asked_for_is_an_answer() -> None:
    """Bob's death is no answer to when carol's was known, nor a suspicion to a death."""
    mesh = Mesh(3)
    try:
        assert None not in mesh.whole(mesh.begin(), 60.0)
        at = mesh.kill(1)
        assert None not in mesh.known("dead", 1, at, 60.0)
        assert mesh.known("dead", 2, at, 0.0) == [None, None]
        assert mesh.known("left", 1, at, 0.0) == [None, None]
        assert mesh.count("dead", at) == 2
    finally:
        mesh.close()


@pytest.mark.slow
def test_nobody_is_whole_while_one_is_missing() -> None:
    """One of three was killed before the signal: the other two never report all."""
    mesh = Mesh(3)
    try:
        mesh.kill(2)
        assert mesh.whole(mesh.begin(), 4.0) == [None, None, None]
    finally:
        mesh.close()


def test_a_late_one_is_not_left_out() -> None:
    """If one of three never lists all, the run has no worst, whatever the others say."""
    assert real.worst([1.0, 3.0, 2.0]) == 3.0
    assert real.worst([1.0, None, 2.0]) is None


@pytest.mark.slow
def test_a_process_that_ends_by_itself_ends_the_benchmark(tmp_path: Path) -> None:
    """Nobody waits for a report that cannot come, and nothing is left running."""
    with pytest.raises(RuntimeError, match="ended with status 1"):
        Mesh(2, command=(sys.executable, "-c", "raise SystemExit(1)"))

    pids = tmp_path / "pids"
    tell = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()} '); sys.stdin.read()"
    with pytest.raises(RuntimeError, match="not ready within"):
        Mesh(2, command=(sys.executable, "-c", tell, str(pids)), within=3.0)
    assert pids.read_text().split()
    assert not [pid for pid in pids.read_text().split() if Path("/proc", pid).exists()]


def test_idle_is_not_measured_where_others_are_counted() -> None:
    """Without a network of its own it says what it needs, and starts nothing."""
    with pytest.raises(RuntimeError, match="namespace of its own"):
        real.idle([3], 0.0, 1.0, [Mesh])


@pytest.mark.slow
@pytest.mark.skipif(not serf.is_installed(), reason="serf is not installed")
def test_serf_is_measured_beside() -> None:
    """Its version is named, and its agents find each other."""
    shown = real.join([2], 1, real.kinds(serf=True))

    assert [row["nodes"] for row in shown.rows] == [2, 2]
    assert serf.version() in shown.rows[1]["of"]
    assert shown.rows[1]["whole, worst"] < 60.0


# --- virtual time -----------------------------------------------------------------------


def test_a_mesh_is_whole_when_each_lists_all() -> None:
    """Neither before the last has joined, nor while somebody is suspect."""
    world, took = storm(4, seed=1)

    assert 0.0 < took < 5.0
    assert is_whole(world, 4)
    assert not is_whole(world, 5)


def test_a_killed_process_is_noticed_before_a_silent_host() -> None:
    """The machine of a killed one answers; of a silent one nothing does."""
    world = joined(5, seed=1)
    acts = [functools.partial(death, number=1, silent=quiet) for quiet in (False, True)]
    (killed, silent) = Forks().each_in("deaths", lambda: world, acts)

    assert killed[0] <= killed[1] < 1.0
    assert silent[0] <= silent[1] < 30.0
    assert silent[0] > 1.0
    assert is_whole(world, 5)  # it happened in forks of this world


def test_a_death_is_known_when_all_know_it() -> None:
    """Not before the last of the others lists it."""
    world = joined(5, seed=1)
    first, last = death(world, 1, silent=False)

    (gone,) = (node for node in world.nodes.values() if not node.is_running)
    assert states(gone, world.running) == ["dead"] * 4
    assert first < last


def test_hours_of_loss_count_what_each_member_said_once() -> None:
    """Of three minutes under heavy loss, every suspicion counts, and none twice."""
    world = joined(4, seed=1)
    ears = Ears(world)
    row = simulated.hours_of_loss(world, 0.05, 0.3)

    assert row["suspicions"] == ears.count("member.suspected", of=set(world.nodes)) > 0
    assert row["false deaths"] == ears.count("member.failed", of=set(world.nodes))


def test_tables_of_deaths_storms_splits_and_losses() -> None:
    """Each row says what it is about."""
    (silent, killed) = simulated.deaths([4], 2, Forks()).rows
    (crowd,) = simulated.storms([4], 2, Forks()).rows
    (short, long) = simulated.partitions(4, [1.0, 30.0], Forks()).rows
    (calm, lossy) = simulated.false_deaths(4, 0.01, [0.0, 0.2], Forks()).rows

    assert (silent["who dies"], killed["who dies"]) == ("silent host", "killed process")
    assert silent["all, worst"] > killed["all, worst"]
    assert crowd["whole, worst"] >= crowd["whole, median"] > 0.0
    assert (short["lists before healing"], long["lists before healing"]) == (1, 2)
    assert long["split for"] == "30 s"
    assert calm["false deaths"] == calm["suspicions"] == 0
    assert lossy["loss"] == "20%"


def test_ears_tell_who_said_it_of_whom_and_when() -> None:
    """Alice cannot hear; what she says of others is not what they say of her."""
    world = joined(4, seed=1)
    ears = Ears(world)
    deaf = world["node3"]
    world.inject(Cut((("*", deaf.name),)))
    world.run_for(30.0)

    well = {"node0", "node1", "node2"}
    assert ears.count("member.failed", of={"node3"}, by=well) == 3
    assert ears.count("member.failed", of=well, by=well) == 0
    assert ears.count("member.suspected", of={"node3"}) >= 3
    assert ears.told("member.failed", of={"node3"}, since=world.elapsed) == []
    assert states(deaf, [world[name] for name in sorted(well)]) == ["dead"] * 3


def test_a_mesh_in_which_somebody_is_suspect_is_not_whole() -> None:
    """Whoever lists all, but doubts one, has not joined yet or not recovered yet."""
    world = joined(4, seed=1)
    ears = Ears(world)
    world.inject(Cut((("*", "node3"), ("node3", "*"))))
    world.run_until(lambda: ears.count("member.suspected", of={"node3"}) > 0)

    assert ears.count("member.failed", of={"node3"}) == 0
    assert not is_whole(world, 4)


def test_the_removal_of_one_that_stands_still_is_not_false() -> None:
    """It may well be dead, for all that the others can see."""
    world = joined(5, seed=1)
    ears = Ears(world)
    outcome = lifeguard.stall(world, lifeguard.Stalls(1, 8.0, 2.0, 20.0, run=0))

    assert ears.count("member.failed", of=set(world.nodes)) > 0
    assert outcome.false == outcome.between_the_well == 0
    assert outcome.seconds >= 20.0
    assert outcome.sent > outcome.packets > 0


def test_scales_weigh_every_packet_and_hold_none_back() -> None:
    """Datagrams as nodes send them, seen from both sides."""
    world = joined(3, seed=1)
    sent: list[int] = []
    world.on_datagram.append(lambda _node, _to, data: sent.append(len(data)))
    scales = Scales()
    world.links.add(scales)
    world.run_for(10.0)

    assert scales.packets >= len(sent) > 20
    assert scales.sent >= sum(sent)
    assert is_whole(world, 3)


def test_plain_swim_kills_the_well_where_doubt_does_not() -> None:
    """Five of twelve stand still; the table counts who was declared dead in vain."""
    grid = lifeguard.grid([5], [16.0], [0.064], 60.0, 4)
    whole, parts = lifeguard.experiment(12, grid, 2, Forks())

    plain, ours, percent, goal = whole.rows
    assert plain["false positives"] > 0
    assert ours["false positives"] < plain["false positives"]
    assert plain["between the well"] <= plain["false positives"]
    assert plain["first, median"] >= 5.0
    share = 100.0 * ours["first, median"] / plain["first, median"]
    assert percent["first, median"] == pytest.approx(share, abs=0.01)
    assert goal["false positives"] == 1.53
    assert parts.rows[0]["false, plain SWIM"] == plain["false positives"]


def test_who_stands_still_is_counted_apart_from_whom_it_accuses() -> None:
    """One of five stands still half of the time: the others are not removed."""
    (row,) = rapid.stalls(5, 20.0).rows

    assert row["healthy removed by healthy"] == row["by faulty"] == 0
    assert row["removals of a faulty one"] == row["returns"] > 0


def test_deaf_and_lossy_members_are_counted() -> None:
    """Rapid's cases, with as many faulty ones as the mesh bears."""
    (deaf, lossy, worse) = rapid.rapid(6, 40.0, Forks()).rows

    assert [row["faulty"] for row in (deaf, lossy, worse)] == [2, 1, 1]
    assert deaf["removals of a faulty one"] > 0
    assert deaf["sizes"] >= 3  # all, one less, two less
    for row in (deaf, lossy, worse):
        assert row["healthy removed by healthy"] == 0


def test_forks_keep_their_order_and_their_failures_are_told() -> None:
    """Results come in the order of what was asked; one that dies is not left out."""
    acts = [functools.partial(_sum_below, end) for end in (5_000_000, 3, 4)]

    assert Forks(3).each("sums", acts)[1:] == [3, 6]  # the first is the last to end
    with pytest.raises(RuntimeError, match="number 0 ended badly"):
        Forks(1).each("exits", [functools.partial(os._exit, 1)])


def test_what_was_simulated_is_kept_for_a_run_that_goes_on(tmp_path: Path) -> None:
    """Only what is missing is done; what another table is about is none of its business."""
    kept = Forks(1, tmp_path / "kept")
    acts = [functools.partial(_noted, tmp_path / f"{number}.runs") for number in range(3)]
    (tmp_path / "2.runs").mkdir()  # nothing can be written there
    with pytest.raises(RuntimeError, match="number 2 ended badly"):
        kept.each("runs", acts)
    (tmp_path / "2.runs").rmdir()

    assert kept.each("runs", acts) == [1, 1, 1]
    assert kept.each("other runs", acts) == [2, 2, 2]
    assert Forks(1).each("runs", acts) == [3, 3, 3]
    assert len(version()) == 64


def test_a_mesh_is_joined_only_for_what_is_missing(tmp_path: Path) -> None:
    """Of a thousand members it takes minutes."""
    joins: list[str] = []

    def join() -> World:
        joins.append("joined")
        return World(1)

    kept = Forks(1, tmp_path)
    for _ in range(2):
        assert kept.each_in("names", join, [_names]) == [[]]
    assert joins == ["joined"]


def _names(world: World) -> list[str]:
    return list(world.nodes)


def _noted(path: Path) -> int:
    """How often it was called."""
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


def _sum_below(end: int) -> int:
    return sum(range(end))


# --- the command ------------------------------------------------------------------------


def test_for_programs_each_table_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With its configuration, rows and notes."""
    main(["stalls", "--members", "3", "--seconds", "10", "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert shown["config"]["suspicion_min_multiplier"] == lan().suspicion_min_multiplier
    assert shown["rows"][0]["faulty"] == 1
    assert shown["notes"]


def test_sizes_that_no_network_holds_are_refused() -> None:
    """Before anything is started."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.membership", "join", "--sizes", "1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "allowed are 2 to 250" in done.stderr
