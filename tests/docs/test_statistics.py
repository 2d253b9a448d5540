"""The page on statistics says what the code says."""

from __future__ import annotations

import re

from meshp2p.engine import statistics
from tests.docs.pages import REPOSITORY

PAGE = REPOSITORY / "docs" / "statistics.md"
_ROW = re.compile(r"^\| `(\w+)` \| (.*) \|$", re.MULTILINE)


def test_the_page_explains_every_figure_and_no_other() -> None:
    """Name by name, in the words of the code."""
    told = dict(_ROW.findall(PAGE.read_text()))
    engine = {**statistics.SIZES, **statistics.TRAFFIC, **statistics.MEMBERSHIP}

    assert told == {**engine, **statistics.CALLS, **statistics.REFUSED, **statistics.PROCESS}


def test_no_figure_has_two_meanings() -> None:
    """A name stands in one group alone."""
    assert len(set(statistics.ENGINE)) == len(statistics.ENGINE)
    assert not set(statistics.ENGINE) & set(statistics.PROCESS)


def test_everything_that_is_counted_has_a_name() -> None:
    """No counter appears in `stats()` that nobody explained."""
    counted: set[str] = set()
    for path in (REPOSITORY / "meshp2p").rglob("*.py"):
        counted |= set(re.findall(r'counters\["(\w+)"\]', path.read_text()))

    assert counted <= set(statistics.ENGINE)
    assert counted
