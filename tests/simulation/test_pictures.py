"""The picture of a run as a user meets it: in a browser, from a file, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from meshp2p.simulation.happening import Fact, Happening
from meshp2p.simulation.timeline_page import write_page
from tests.simulation.browser import Page, browser, chromium

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="there is no chromium on this machine (apt-get install chromium)"
)

PEOPLE = ["alice", "bob", "carol"]
CELLS = """
(() => {
  const copy = new OffscreenCanvas(map.width, map.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(map, 0, 0);
  const inside = (edge, place) => Math.round((edge + place * grid.cell + 5) * devicePixelRatio);
  const shade = (row, column) => {
    const [x, y] = [inside(grid.left, column), inside(grid.top, row)];
    return `rgb(${[...context.getImageData(x, y, 1, 1).data].slice(0, 3).join(", ")})`;
  };
  const belief = (ink) => BELIEFS.find((_, each) => beliefColour(each) === ink) ?? ink;
  return grid.lanes.map((who, row) => grid.lanes.map(
    (whom, column) => (who === whom ? "-" : belief(shade(row, column)))
  ));
})()
"""
"""Which belief the colour of each cell of the map stands for."""
OPINIONS = "[...document.querySelectorAll('#opinions li')].map(line => line.textContent)"
DRAWN = "touched.map(each => each.text())"
PLACE = "(() => { const { x, y } = canvas.getBoundingClientRect(); return [x, y]; })()"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests; each opens a page of its own."""
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_but_the_page(page: Page) -> Iterator[None]:
    """No test may end with an error on the console, or with a request for anything else."""
    page.said.clear()
    page.requested.clear()
    page.blocked.clear()
    yield
    assert page.said == []
    assert len(page.requested) == 1 + len(page.blocked)
    assert page.requested[0].startswith("file:")


def at(moment: float, node: str, kind: str, **detail: Fact) -> Happening:
    """One happening; `from_` stands for `from`."""
    return Happening(moment, node, kind, {key.rstrip("_"): each for key, each in detail.items()})


def view(moment: float, who: str, whom: str, state: str, reason: str = "") -> Happening:
    """A change of belief."""
    return at(moment, who, "view", member=whom, state=state, event="", reason=reason)


STORY = [
    *(at(0.0, name, "join") for name in PEOPLE),
    *(view(1.0, who, whom, "alive") for who in PEOPLE for whom in PEOPLE if who != whom),
    at(2.0, "", "fault", fault="cut", id=1, text="cut alice | carol"),
    at(2.5, "alice", "send", to="carol", what="datagram", len=99, id=1),
    at(2.5, "alice", "drop", to="carol", what="datagram", len=99, id=1, why="cut"),
    at(2.6, "alice", "send", to="bob", what="datagram", len=144, id=2),
    at(2.7, "bob", "recv", from_="alice", what="datagram", len=144, id=2),
    view(3.0, "alice", "carol", "suspect", "no ack"),
    at(4.0, "carol", "crash"),
    view(5.0, "alice", "carol", "dead", "suspicion ran out"),
    at(6.0, "", "heal", id=1),
    at(7.0, "carol", "restart"),
    view(7.5, "carol", "alice", "alive"),
    at(8.0, "", "violation", name="one winner", text="both won", nodes="alice, bob"),
    at(10.0, "bob", "decide", text="awarded to alice"),
]


def opened(page: Page, folder: Path, told: list[Happening], fragment: str = "") -> Page:
    """The page of these happenings."""
    write_page(told, folder / "run.html", title="a story")
    page.open(folder / "run.html", fragment)
    return page


# --- what it shows -------------------------------------------------------------------------


def test_each_member_has_a_lane(page: Page, tmp_path: Path) -> None:
    """In the order in which they joined, one under the other, none outside the picture."""
    opened(page, tmp_path, STORY)
    assert page.ask("shown.lanes.map(lane => names[lane])") == PEOPLE
    heights = page.ask("shown.lanes.map(yOf)")
    assert heights == sorted(set(heights))
    assert 0 < heights[0] < heights[-1] < page.ask("stage.height")
    assert "3 members · 10.000 s" in page.ask("document.getElementById('facts').textContent")


@pytest.mark.parametrize(
    ("moment", "cells"),
    [
        (0.5, ["- unknown unknown", "unknown - unknown", "unknown unknown -"]),
        (1.0, ["- alive alive", "alive - alive", "alive alive -"]),
        (3.5, ["- alive suspect", "alive - alive", "alive alive -"]),
        (5.5, ["- alive dead", "alive - alive", "unknown unknown -"]),
        (7.5, ["- alive dead", "alive - alive", "alive unknown -"]),
    ],
)
def test_the_map_shows_who_believes_what_at_the_chosen_moment(
    page: Page, tmp_path: Path, moment: float, cells: list[str]
) -> None:
    """Row by row; whoever crashed believes nothing any more."""
    opened(page, tmp_path, STORY, f"#t={moment}")
    assert page.ask(CELLS) == [row.split() for row in cells]
    assert page.ask("document.getElementById('clock').textContent") == f"{moment:.3f} s"


def test_the_map_is_told_in_words_too(page: Page, tmp_path: Path) -> None:
    """Who is wrong, and about whom; nothing if nobody is."""
    opened(page, tmp_path, STORY, "#t=3.5")
    assert page.ask(OPINIONS) == ["carol is up: suspected by alice; alive to bob"]
    assert page.ask("document.getElementById('verdict').textContent") == "1 of 6 beliefs are wrong"
    page.ask("location.hash = 't=5.5'")
    page.drawn()
    assert page.ask(OPINIONS) == ["carol is crashed: dead to alice; alive to bob"]
    page.ask("location.hash = 't=1.5'")
    page.drawn()
    assert page.ask(OPINIONS) == []


def test_the_slider_moves_the_map(page: Page, tmp_path: Path) -> None:
    """And the keys step from change to change."""
    opened(page, tmp_path, STORY, "#t=0.5")
    page.ask("(when => { when.value = 3.5; when.oninput(); })(document.getElementById('when'))")
    page.drawn()
    assert page.ask(CELLS)[0] == ["-", "alive", "suspect"]
    for moment in (4.0, 5.0):
        page.key(".")
        assert page.ask("shown.moment") == moment
    assert page.ask(CELLS)[0] == ["-", "alive", "dead"]
    page.key(",")
    assert page.ask("shown.moment") == 4.0


def test_everything_that_was_drawn_can_be_asked_what_it_is(page: Page, tmp_path: Path) -> None:
    """Messages, lost ones with their reason, faults, violations, decisions."""
    opened(page, tmp_path, STORY)
    drawn = page.ask(DRAWN)
    for words in (
        "alice → bob\ndatagram, 144 bytes, id 2\nsent at 2.600000 s, read 100.000 ms later",
        "alice → carol\ndatagram, 99 bytes, id 1\nsent at 2.500000 s, lost: cut",
        "cut, from 2.000 s to 6.000 s\ncut alice | carol",
        "8.000000 s\none winner: both won",
        "bob: decide at 10.000000 s\ntext awarded to alice",
        "carol, from 3.000 s\nof 2 who know it 1 suspect it, 0 believe it dead",
    ):
        assert drawn.count(words) == 1, (words, drawn)


def test_the_mouse_tells_what_it_points_at(page: Page, tmp_path: Path) -> None:
    """On the lanes and on the map."""
    opened(page, tmp_path, STORY, "#t=5.5")
    left, top = page.ask(PLACE)
    x, y = page.ask("[xOf(2.65), (yOf(0) + yOf(1)) / 2]")
    page.mouse("mouseMoved", left + x, top + y)
    assert page.ask("document.getElementById('tip').innerText").startswith("alice → bob")
    left, top = page.ask(PLACE.replace("canvas", "map"))
    x, y = page.ask("[grid.left + 2.5 * grid.cell, grid.top + grid.cell / 2]")
    page.mouse("mouseMoved", left + x, top + y)
    assert page.ask("document.getElementById('tip').innerText") == (
        "alice (up) believes carol (crashed) dead, since 5.000 s\nsuspicion ran out"
    )


# --- moving about ----------------------------------------------------------------------------


def test_wheel_drag_and_keys_zoom_and_move(page: Page, tmp_path: Path) -> None:
    """The moment under the mouse stays under it; dragging takes the run along."""
    opened(page, tmp_path, STORY, "#from=0&to=10")
    left, top = page.ask(PLACE)
    x, y = page.ask("[xOf(4), yOf(1)]")
    page.mouse("mouseWheel", left + x, top + y, deltaX=0, deltaY=-400)
    page.drawn()
    wide = page.ask("shown.to - shown.from")
    assert wide < 6
    assert page.ask("xOf(4)") == pytest.approx(x, abs=1.5)

    page.mouse("mousePressed", left + x, top + y, button="left", clickCount=1)
    page.mouse("mouseMoved", left + x + 80, top + y, button="left", buttons=1)
    page.mouse("mouseReleased", left + x + 80, top + y, button="left", clickCount=1)
    page.drawn()
    assert page.ask("xOf(4)") == pytest.approx(x + 80, abs=1.5)
    assert page.ask("shown.moment") == 8.0  # the violation's: a drag chooses nothing

    page.click(left + x, top + y)
    assert page.ask("shown.moment") == pytest.approx(page.ask(f"momentAt({x})"), abs=wide / 500)
    page.key("+")
    assert page.ask("shown.to - shown.from") == pytest.approx(wide / 1.5)
    page.key("0")
    assert page.ask("[shown.from <= 0, shown.to >= 10]") == [True, True]


def test_a_message_that_was_held_for_long_is_drawn_wherever_one_looks(
    page: Page, tmp_path: Path
) -> None:
    """Also where neither its beginning nor its end is to be seen."""
    held = [
        at(1.0, "alice", "send", to="bob", what="datagram", len=1, id=1),
        at(1.0, "alice", "send", to="bob", what="datagram", len=1, id=2),
        at(8.0, "bob", "drop", from_="alice", id=2, why="queue"),
        at(9.0, "bob", "recv", from_="alice", id=1),
    ]
    opened(page, tmp_path, held, "#from=4&to=5")
    drawn = page.ask(DRAWN)
    assert [text.rpartition("s, ")[2] for text in drawn] == [
        "read 8000.000 ms later",
        "lost: queue",
    ]


def test_a_run_can_be_played(page: Page, tmp_path: Path) -> None:
    """The moment moves on until the same key stops it."""
    opened(page, tmp_path, STORY, "#t=1")
    page.key(" ")
    page.drawn()
    page.key(" ")
    stopped = page.ask("shown.moment")
    page.drawn()
    assert 1 < stopped == page.ask("shown.moment")


def test_members_and_kinds_can_be_hidden(page: Page, tmp_path: Path) -> None:
    """Then nothing of them is drawn, and the map is that of the others."""
    opened(page, tmp_path, STORY)
    page.ask("[...document.querySelectorAll('#kinds button')]"
             ".find(button => button.textContent.startsWith('lost')).click()")  # fmt: skip
    page.drawn()
    assert not [text for text in page.ask(DRAWN) if "lost: cut" in text]
    page.ask(
        "(who => { who.value = 'ALI, carol'; who.oninput(); })(document.getElementById('who'))"
    )
    page.drawn()
    assert page.ask("shown.lanes.map(lane => names[lane])") == ["alice", "carol"]
    assert [len(row) for row in page.ask(CELLS)] == [2, 2]
    assert not [text for text in page.ask(DRAWN) if "bob" in text and "both won" not in text]


def test_light_and_dark_differ(page: Page, tmp_path: Path) -> None:
    """The button turns everything, the drawings too."""
    opened(page, tmp_path, STORY)
    inks = set()
    for _ in range(2):
        page.ask("document.getElementById('theme').click()")
        page.drawn()
        inks.add((page.ask("colour.ink"), page.ask("getComputedStyle(document.body).color")))
    assert len(inks) == 2
    assert all(drawn == written for drawn, written in inks)


# --- large and hostile runs --------------------------------------------------------------------


def test_a_hostile_name_runs_nothing(page: Page, tmp_path: Path) -> None:
    """Whatever members, reasons and faults are called: they are shown as they are."""
    evil = "</script><img src=x onerror=\"document.title='owned'\"><script>alert(1)</script>"
    told = [
        at(0.0, evil, "join"),
        at(0.0, "bob", "join"),
        view(1.0, "bob", evil, "suspect", evil),
        at(1.0, "", "fault", fault=evil, id=evil, text=evil),
        at(1.0, "bob", "send", to=evil, what=evil, len=1, id=evil),
        at(1.5, evil, "drop", from_="bob", id=evil, why=evil),
        at(1.6, "bob", evil, text=evil),
        at(2.0, "", "violation", name=evil, text=evil, nodes=evil),
    ]
    opened(page, tmp_path, told)
    assert page.ask("document.title") == "a story"
    assert page.ask("document.querySelectorAll('img').length") == 0
    assert page.ask("document.scripts.length") == 2
    assert page.ask(OPINIONS) == [f"{evil} is up: suspected by bob"]
    assert f"bob → {evil}" in "".join(page.ask(DRAWN))


def test_even_a_program_inside_the_page_could_not_run(page: Page, tmp_path: Path) -> None:
    """The page's own policy stops what is not its own: a second fence, should the first fall."""
    opened(page, tmp_path, STORY)
    page.ask("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"owned = 1\">')")
    page.ask("document.body.append(Object.assign(document.createElement('script'),"
             " { textContent: 'owned = 2' }))")  # fmt: skip
    page.drawn()
    assert page.ask("typeof owned") == "undefined"
    assert page.blocked == ["csp"]
    assert any("Content Security Policy" in said for said in page.said)
    page.said.clear()


def test_a_hundred_thousand_happenings_are_not_drawn_all_at_once(
    page: Page, tmp_path: Path
) -> None:
    """So that each frame is quick; the page says so, and zooming in shows all."""
    rng = Random(7)
    people = [f"agent-{number:02}" for number in range(100)]
    told = [at(0.0, name, "join") for name in people]
    pairs = [(who, whom) for who in people for whom in people if who != whom]
    told += [view(1 + n / 10_000, *pair, "alive") for n, pair in enumerate(pairs)]
    for number in range(45_000):
        moment = 2 + number * 0.001
        sender, receiver = rng.sample(people, 2)
        told.append(at(moment, sender, "send", to=receiver, what="datagram", len=99, id=number))
        told.append(at(moment + 0.0005, receiver, "recv", from_=sender, id=number))
    opened(page, tmp_path, told)
    assert page.ask("names.length") == 100
    assert page.ask("document.getElementById('sampled').textContent") == (
        "1 of 6 is drawn: zoom in for all"
    )
    assert 5_000 < page.ask("touched.length") < 10_000
    for moment, alive in ((1.2, 2_001), (1.6, 6_001), (9.0, 9_900)):
        found = page.ask(f"beliefsAt({moment}).filter(belief => belief === ALIVE).length")
        assert found == alive
    page.ask("show(20, 21)")
    page.drawn()
    assert page.ask("document.getElementById('sampled').hidden")
    assert page.ask("touched.length") == pytest.approx(1_000, abs=5)


def test_a_run_in_which_nothing_happened_can_be_opened(page: Page, tmp_path: Path) -> None:
    """It shows no lanes, and no error."""
    opened(page, tmp_path, [])
    assert page.ask("document.getElementById('verdict').textContent") == (
        "Nobody believes anything yet"
    )
