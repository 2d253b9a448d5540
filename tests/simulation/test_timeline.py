"""What a picture shows, without a browser: lanes, states, messages, faults, beliefs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from meshp2p.simulation.happening import Fact, Happening
from meshp2p.simulation.timeline import BELIEFS, Timeline
from meshp2p.simulation.timeline_page import page_of, write_page
from meshp2p.simulation.trace import BrokenTrace


def at(moment: float, node: str, kind: str, **detail: Fact) -> Happening:
    """One happening; `from_` stands for `from`."""
    return Happening(moment, node, kind, {key.rstrip("_"): each for key, each in detail.items()})


def timeline(*told: Happening, **most: int) -> Timeline:
    """What they amount to."""
    whole = Timeline(**most)  # type: ignore[arg-type]  # only limits, all of them numbers
    whole.add_all(told)
    return whole


def data_of(page: str) -> Mapping[str, Any]:
    """What the page's program reads."""
    return dict(json.loads(page.split('id="run">')[1].partition("</script>")[0]))


# --- members -----------------------------------------------------------------------------


def test_a_member_is_up_paused_and_crashed_for_as_long_as_it_was() -> None:
    """From join to the end of the run, without a gap."""
    whole = timeline(
        at(1.0, "alice", "join"),
        at(2.0, "alice", "pause"),
        at(3.0, "alice", "resume"),
        at(5.0, "alice", "crash"),
        at(6.0, "alice", "restart"),
        at(9.0, "alice", "leave"),
        at(9.5, "bob", "join"),
    )
    assert whole.stretches() == [
        (0, 1.0, 2.0, "up"),
        (0, 2.0, 3.0, "paused"),
        (0, 3.0, 5.0, "up"),
        (0, 5.0, 6.0, "crashed"),
        (0, 6.0, 9.0, "up"),
        (0, 9.0, 9.5, "left"),
        (1, 9.5, 9.5, "up"),
    ]


def test_a_member_that_was_there_before_is_up_from_the_beginning() -> None:
    """A trace need not say so: whoever crashes was running."""
    whole = timeline(at(4.0, "alice", "crash"), at(6.0, "bob", "timer"))
    assert whole.stretches() == [
        (0, 0.0, 4.0, "up"),
        (0, 4.0, 6.0, "crashed"),
        (1, 0.0, 6.0, "up"),
    ]


def test_only_changes_of_belief_are_kept() -> None:
    """Hearing the same again is none; a crash forgets everything at once."""
    whole = timeline(
        at(1.0, "alice", "view", member="bob", state="alive", event="member.joined", reason=""),
        at(2.0, "alice", "view", member="bob", state="alive", event="member.updated", reason=""),
        at(3.0, "alice", "view", member="bob", state="dead", event="member.failed", reason="rst"),
        at(4.0, "alice", "crash"),
        at(5.0, "alice", "crash"),
        at(6.0, "alice", "view", member="bob", state="dead", event="member.failed", reason=""),
    )
    alive, dead = BELIEFS.index("alive"), BELIEFS.index("dead")
    assert whole.views == [
        (1.0, 0, 1, alive, ""),
        (3.0, 0, 1, dead, "rst"),
        (4.0, 0, -1, 0, ""),
        (6.0, 0, 1, dead, ""),
    ]


# --- messages ----------------------------------------------------------------------------


def test_a_message_is_one_row_from_sending_to_reading() -> None:
    """And a second copy is a second row with the same beginning."""
    whole = timeline(
        at(1.0, "alice", "send", to="bob", what="datagram", len=144, id=7),
        at(1.5, "bob", "recv", from_="alice", what="datagram", len=144, id=7),
        at(1.9, "bob", "recv", from_="alice", what="datagram", len=144, id=7),
        at(2.0, "bob", "send", to="alice", what="segment", len=9, id=8),
    )
    rows = [(row.sent, row.ended, row.sender, row.receiver, row.what) for row in whole.messages]
    assert rows == [
        (1.0, 1.5, 0, 1, "datagram"),
        (1.0, 1.9, 0, 1, "datagram"),
        (2.0, None, 1, 0, "segment"),
    ]


@pytest.mark.parametrize("side", [{"to": "bob"}, {"from": "alice"}])
def test_a_lost_message_says_why(side: dict[str, str]) -> None:
    """Whether the sender's side or the receiver's lost it."""
    where = "alice" if "to" in side else "bob"
    sent = at(1.0, "alice", "send", to="bob", what="datagram", len=144, id=7)
    lost = Happening(1.2, where, "drop", {**side, "id": 7, "why": "nat"})
    for told in ([at(0.0, "alice", "join"), at(0.0, "bob", "join"), sent, lost],
                 [at(0.0, "alice", "join"), at(0.0, "bob", "join"), lost]):  # fmt: skip
        whole = timeline(*told)
        (drop,) = whole.dropped
        assert (drop.sender, drop.receiver, drop.ended, drop.why) == (0, 1, 1.2, "nat")
        assert whole.messages == []


def test_a_lost_copy_takes_nothing_from_the_message_that_arrived() -> None:
    """Both are shown."""
    whole = timeline(
        at(1.0, "alice", "send", to="bob", what="datagram", len=144, id=7),
        at(1.5, "bob", "recv", from_="alice", id=7),
        at(1.9, "bob", "drop", from_="alice", id=7, why="queue"),
    )
    assert ([row.ended for row in whole.messages], len(whole.dropped)) == ([1.5], 1)


def test_a_long_run_is_thinned_evenly_and_says_how_much() -> None:
    """Memory stays bounded, and what is kept is spread over the whole run."""
    told = []
    for number in range(1000):
        told.append(at(number, "alice", "send", to="bob", what="datagram", len=1, id=number))
        told.append(at(number + 0.5, "bob", "recv", from_="alice", id=number))
        told.append(at(number + 0.6, "bob", "timer"))
        if number == 501:
            told.append(at(number + 0.6, "bob", "decide", text="awarded"))
        told.append(at(number + 0.7, "bob", "drop", to="alice", id=-1 - number, why="loss"))
    whole = timeline(*told, most_messages=100, most_dots=40)
    assert len(whole.messages) <= 100
    assert {b.sent - a.sent for a, b in zip(whole.messages, whole.messages[1:], strict=False)} == {
        16.0
    }
    assert all(row.ended == row.sent + 0.5 for row in whole.messages)
    assert whole.notes == [
        "Of 1,000 messages one in 16 is kept.",
        "Of 1,000 lost messages one in 16 is kept.",
        "Of 1,000 timer dots one in 32 is kept.",
    ]
    assert whole.counts["send"] == 1000
    assert whole.drawing()["dots"]["at"].count(501.6) == 1  # type: ignore[index]  # of columns


def test_a_map_that_would_be_too_long_ends_instead_of_lying() -> None:
    """Beliefs with gaps would show what nobody believed."""
    states = ["alive", "suspect"] * 5
    told = [
        at(moment, "alice", "view", member="bob", state=state)
        for moment, state in enumerate(states)
    ]
    whole = timeline(*told, most_views=4)
    assert len(whole.views) == 4
    assert whole.notes == ["Beliefs are kept until 4.000 s; later ones are missing."]


# --- faults and violations -----------------------------------------------------------------


def test_a_fault_lasts_until_it_is_healed_or_the_run_ends() -> None:
    """Each on its own, whichever began first."""
    whole = timeline(
        at(1.0, "", "fault", fault="partition", id=1, text="partition alice | bob"),
        at(2.0, "bob", "fault", fault="skew", id=2, text="skew bob by 3 s"),
        at(3.0, "", "heal", id=1),
        at(9.0, "", "timer"),
    )
    assert whole.drawing()["faults"] == [
        (1.0, 3.0, -1, "partition", "partition alice | bob"),
        (2.0, None, 0, "skew", "skew bob by 3 s"),
    ]


def test_a_violation_names_promise_and_members() -> None:
    """So that the page can mark their lanes."""
    told = at(2.0, "", "violation", name="one winner", text="both won", nodes="alice, bob")
    whole = timeline(at(0.0, "bob", "join"), at(0.0, "alice", "join"), told)
    assert whole.violations == [(2.0, [1, 0], "one winner: both won")]


# --- the page ------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    """No address of anything else, and a policy that would forbid to follow one."""
    page = page_of(timeline(at(0.0, "alice", "join")), "a run")
    assert "default-src 'none'; script-src 'sha256-" in page
    for outside in ("http:", "https:", "//cdn", "src=", "href=", "@import", "url("):
        assert outside not in page


def test_a_hostile_name_cannot_leave_the_data() -> None:
    """It is in the page, but nowhere as HTML."""
    evil = "</script><img src=x onerror=alert(1)>{{script}}<!--"
    page = page_of(timeline(at(0.0, evil, "join"), at(1.0, "bob", "log", text=evil)), evil)
    assert page.lower().count("</script") == 2
    assert "<img" not in page
    assert "<!--" not in page
    assert data_of(page)["names"][0] == evil


def test_a_picture_of_a_killed_run_ends_where_its_trace_does(tmp_path: Path) -> None:
    """The page says so; a trace that is broken otherwise gives no page at all."""
    header = '{"trace":1,"seed":7,"scenario":"storm","nodes":["alice"]}\n'
    good = '{"t":1.5,"n":"bob","k":"join"}\n'
    (tmp_path / "run.jsonl").write_text(header + good + good[:9])
    write_page(tmp_path / "run.jsonl", tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert "<title>storm</title>" in page
    assert data_of(page)["names"] == ["alice", "bob"]
    assert data_of(page)["facts"][0] == "seed 7"
    assert "line 3: cut off" in data_of(page)["notes"][0]

    (tmp_path / "run.jsonl").write_text(header + "[]\n" + good)
    with pytest.raises(BrokenTrace, match="line 2"):
        write_page(tmp_path / "run.jsonl", tmp_path / "broken.html")
    assert not (tmp_path / "broken.html").exists()


def test_a_picture_needs_no_file_of_happenings(tmp_path: Path) -> None:
    """What a test collected will do."""
    write_page([at(0.0, "alice", "join")], tmp_path / "run.html", title="a & b")
    page = (tmp_path / "run.html").read_text()
    assert "<title>a &amp; b</title>" in page
    assert data_of(page)["names"] == ["alice"]
