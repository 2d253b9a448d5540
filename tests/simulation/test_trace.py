"""What a trace on disk promises: nothing lost or rounded, and plain words when it is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshp2p.errors import UsageError
from meshp2p.simulation import World
from meshp2p.simulation.happening import Fact, Happening
from meshp2p.simulation.trace import BrokenTrace, CutTrace, line_of, read_trace, write_trace

HEADER = '{"trace":1,"meshp2p":"0.1.0","python":"3.11","seed":7,"scenario":"","nodes":["alice"]}\n'
GOOD = '{"t":1.5,"n":"alice","k":"pause"}\n'

texts = some.text(max_size=20)
numbers = some.integers() | some.floats(allow_nan=False, allow_infinity=False)
facts = some.dictionaries(
    texts.filter(lambda name: name not in {"t", "n", "k"}),
    texts | some.booleans() | numbers,
    max_size=5,
)
happenings = some.builds(
    Happening, some.floats(min_value=0, max_value=1e9), texts, texts, detail=facts
)


def file_of(folder: Path, *lines: str) -> Path:
    """A file of these lines."""
    path = folder / "run.jsonl"
    path.write_bytes("".join(lines).encode())
    return path


# --- writing -----------------------------------------------------------------------------


@given(some.lists(happenings, max_size=5))
def test_what_is_read_is_exactly_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, told: list[Happening]
) -> None:
    """Every name and every number, to the last bit, whatever a node calls itself."""
    path = file_of(tmp_path_factory.mktemp("trace"), HEADER, *map(line_of, told))
    assert list(read_trace(path)) == told


FULL = Path("/dev/full")


def test_a_line_is_short_and_can_be_searched_with_grep() -> None:
    """Time, node, kind, then what the kind has to say."""
    detail: dict[str, Fact] = {"from": "alice", "what": "datagram", "len": 144, "id": 4711}
    assert line_of(Happening(12.3457, "bob", "recv", detail)) == (
        '{"t":12.3457,"n":"bob","k":"recv","from":"alice","what":"datagram","len":144,"id":4711}\n'
    )


def test_a_number_that_json_does_not_know_is_written_by_its_name() -> None:
    """The line stays JSON, which every other tool can read."""
    line = line_of(Happening(0.0, "bob", "timer", {"due": float("inf"), "was": float("nan")}))
    assert json.loads(line, parse_constant=pytest.fail) == {
        "t": 0.0, "n": "bob", "k": "timer", "due": "inf", "was": "nan",
    }  # fmt: skip


def test_a_detail_cannot_overwrite_time_or_node() -> None:
    """It is refused, for the trace would lie."""
    with pytest.raises(UsageError, match="'recv' may be named t, n, k"):
        line_of(Happening(1.0, "bob", "recv", {"n": "mallory"}))


def test_a_trace_begins_with_the_run_and_tells_who_came(tmp_path: Path) -> None:
    """Seed, scenario and versions first; then what happened, in order of time."""
    world = World(seed=7)
    with write_trace(world, tmp_path / "run.jsonl", scenario="two people"):
        world.join("alice", "bob")
    trace = read_trace(tmp_path / "run.jsonl")
    told = list(trace)
    assert (trace.seed, trace.scenario, trace.nodes) == (7, "two people", ())
    assert trace.versions.keys() == {"meshp2p", "python"}
    assert [each.node for each in told if each.kind == "join"] == ["alice", "bob"]
    assert ("bob", "alive") in {
        (each.detail["member"], each.detail["state"]) for each in told if each.kind == "view"
    }
    assert [each.at for each in told] == sorted(each.at for each in told)


def test_a_trace_that_begins_late_still_knows_who_believed_what(tmp_path: Path) -> None:
    """Whoever runs already is there from its first line on, with all beliefs."""
    world = World(seed=7)
    _, bob = world.join("alice", "bob")
    bob.pause()
    with write_trace(world, tmp_path / "run.jsonl"):
        pass
    trace = read_trace(tmp_path / "run.jsonl")
    told = [(each.node, each.kind, each.detail.get("member")) for each in trace]
    assert trace.nodes == ("alice", "bob")
    assert [each for each in told if each[1] != "view"] == [
        ("alice", "join", None), ("bob", "join", None), ("bob", "pause", None),
    ]  # fmt: skip
    assert {("alice", "view", "bob"), ("bob", "view", "alice")} <= set(told)


def test_nothing_is_written_after_the_guard_is_removed(tmp_path: Path) -> None:
    """And nobody watches any more, so the run costs what it did before."""
    world = World(seed=7)
    writer = write_trace(world, tmp_path / "run.jsonl")
    world.join("alice", "bob")
    writer.remove()
    writer.remove()
    size = (tmp_path / "run.jsonl").stat().st_size
    world.join("carol")
    assert (tmp_path / "run.jsonl").stat().st_size == size
    assert writer.written == len(list(read_trace(tmp_path / "run.jsonl")))
    assert not world.watchers


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_does_not_disturb_the_run() -> None:
    """Nobody who watches does; that the trace is not whole is told when its guard is removed."""
    world, same = World(seed=7), World(seed=7)
    writer = write_trace(world, FULL)
    for each in (world, same):
        each.join("alice", "bob", "carol")
        each.run_for(30.0)
    assert world.trace == same.trace
    with pytest.raises(OSError, match="No space left"):
        writer.remove()
    writer.remove()
    assert not world.watchers


def test_one_seed_gives_one_file(tmp_path: Path) -> None:
    """Byte for byte; another seed gives another."""

    def run(seed: int, name: str) -> bytes:
        world = World(seed=seed)
        with write_trace(world, tmp_path / name):
            world.join("alice", "bob", "carol")
        return (tmp_path / name).read_bytes().split(b"\n", 1)[1]

    assert run(7, "first") == run(7, "second") != run(8, "third")


# --- reading what is broken ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "is empty: was the run stopped before it began"),
        (["hello\n"], "line 1: not JSON: 'hello'"),
        (["[1, 2]\n"], r"line 1: not a JSON object: '\[1, 2\]'"),
        (['{"t":1.5}\n'], "line 1: no header of a trace"),
        ([HEADER.replace(":1,", ":9,", 1)], "line 1: the trace has format 9, this version reads 1"),
        ([HEADER, GOOD, "\n"], "line 3: not JSON: ''"),
        ([HEADER, "\x00\n"], "line 2: not JSON"),
        ([HEADER, GOOD, '{"t":"soon","n":"alice","k":"pause"}\n'], "line 3: t, n or k is missing"),
        ([HEADER, '{"t":NaN,"n":"alice","k":"pause"}\n'], "line 2: not JSON"),
        ([HEADER, '{"t":1e999,"n":"alice","k":"pause"}\n'], "line 2: t, n or k is missing or wro"),
        ([HEADER, '{"t":1.5,"n":"alice"}\n'], "line 2: t, n or k is missing"),
        ([HEADER, '{"t":1,"n":"a","k":"log","x":[1]}\n'], "line 2: 'x' is neither text nor number"),
        ([HEADER, "[" * 100_000 + "\n"], "line 2: not JSON"),
    ],
)
def test_a_broken_trace_is_named_by_file_and_line(
    tmp_path: Path, lines: list[str], words: str
) -> None:
    """Whoever reads the error knows where to look."""
    path = file_of(tmp_path, *lines)
    with pytest.raises(BrokenTrace, match=words) as caught:
        list(read_trace(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_what_was_written_before_the_run_was_killed_can_be_read(tmp_path: Path) -> None:
    """The last line is cut off; all others are good."""
    trace = read_trace(file_of(tmp_path, HEADER, GOOD, GOOD, GOOD[:-9]))
    read = iter(trace)
    assert [next(read).kind, next(read).kind] == ["pause", "pause"]
    with pytest.raises(CutTrace, match="line 4: cut off"):
        next(read)
