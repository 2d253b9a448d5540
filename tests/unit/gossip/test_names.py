"""Whom somebody means by a name, and what it costs to find out: anybody may ask."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from random import Random

import pytest

from meshp2p.config import lan
from meshp2p.engine.acquaintances import Acquaintances
from meshp2p.engine.core import Core
from meshp2p.events import State
from meshp2p.gossip.member import Row
from meshp2p.gossip.swim import Swim
from meshp2p.identity.trust import Trust
from meshp2p.ids import show_id
from meshp2p.wire import limits
from tests.simulation.swim_world import CRYPTO, START, UNIX, identity_of, keys_of, swim_of
from tests.unit.gossip.test_packed import numbered

MANY = 600


def among_many(count: int = MANY) -> Swim:
    """Alice, who knows 600; every seventh is gone in some way."""
    swim = swim_of("alice")
    for number in range(count):
        state: State = "dead" if number % 14 == 0 else "left" if number % 7 == 0 else "alive"
        row = Row(record=numbered(number), state=state, joined_at=START, last_seen=START)
        swim._parts.view.add(row)  # noqa: SLF001  # 600 joins would take a second
    return swim


def calls_of(act: Callable[[], object]) -> int:
    """Calls of functions that it takes."""
    profile = cProfile.Profile()
    profile.runcall(act)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # not in its stub


@pytest.mark.parametrize("number", [7, 14, 8])
def test_a_member_is_found_by_its_name_whether_it_is_there_or_gone(number: int) -> None:
    """By its handle, with and without the sign; by its id, and by the beginning of that."""
    swim = among_many()
    (member,) = swim.named(f"@agent-{number}")
    shown = show_id(member.id)

    assert member.handle == f"agent-{number}"
    for text in (f"agent-{number}", f"#{shown}", shown, f"#{shown[:12]}", shown[:12]):
        assert swim.named(text) == [member]
    for text in ("", "@", f"@{shown}", f"#agent-{number}", "#1", f"#{shown}a", shown.upper()):
        assert swim.named(text) == []


def test_all_that_begin_alike_are_meant_and_no_more_are_told_than_wanted() -> None:
    """In the order in which the list has them."""
    swim = among_many()
    everybody = swim.members()

    assert swim.named("#") == everybody
    assert swim.named("#", 32) == everybody[:32]
    for letter in "abcdefghijklmnopqrstuvwxyz234567":
        alike = [each for each in everybody if show_id(each.id).startswith(letter)]
        assert swim.named(letter) == swim.named(f"#{letter}") == alike


@pytest.mark.parametrize("text", ["@agent-7", "@nobody", "#", "#zzzz", "nobody"])
def test_a_name_is_looked_up_without_a_look_at_what_everybody_says(text: str) -> None:
    """Who asks why() in a loop costs a look at the departed, not at six hundred records."""
    swim = among_many()
    swim.named(text)

    assert calls_of(lambda: swim.named(text, 32)) < 5 * MANY


def test_whether_anybody_is_there_is_known_without_a_look_at_all() -> None:
    """The dead, the left and the suspected are no company; one who is well is enough."""
    swim = swim_of("alice")
    assert swim.is_alone
    states: tuple[State, ...] = ("dead", "left", "suspect")
    for number, state in enumerate(states):
        row = Row(record=numbered(number), state=state, joined_at=START, last_seen=START)
        swim._parts.view.add(row)  # noqa: SLF001  # as above
    assert swim.is_alone

    crowd = among_many()
    assert not crowd.is_alone
    assert calls_of(lambda: crowd.is_alone) < 20


def test_what_is_kept_of_those_met_takes_a_look_at_those_that_are_kept() -> None:
    """Not at all that are known, twice a minute."""
    few, many = written(MANY), written(2 * MANY)

    assert many - few < 5 * MANY


def written(members: int) -> int:
    """Calls that it takes to choose whose addresses are kept, of so many."""
    core = Core(
        config=lan(),
        identity=identity_of("alice"),
        trust=Trust(CRYPTO, keys_of()),
        crypto=CRYPTO,
        rng=Random(1),
        entropy=Random(2).randbytes,
        guest=False,
        unix=UNIX + START,
        now=START,
    )
    met = Acquaintances(core, among_many(members), {})
    took = calls_of(lambda: met.write(START))
    assert len(met) == limits.MAX_ACQUAINTANCES < members
    return took
