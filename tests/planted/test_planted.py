"""The planted bugs fit the code as it is now, and one of them is found while you wait.

`python -m tests.planted.run` hunts all of them; the nightly run does.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from meshp2p.simulation.invariants import INVARIANTS
from tests.planted.bugs import Bug, all_bugs, copy_package
from tests.planted.run import Shrunk, environment_of, hunt, judge, say_medians

BUGS = all_bugs()


def test_there_are_enough_of_them() -> None:
    """Fewer would show too little."""
    assert len(BUGS) >= 15


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, in which all bugs are planted one after the other."""
    folder = tmp_path_factory.mktemp("copy")
    copy_package(folder)
    return folder


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_bug_can_be_planted(bug: Bug, copy: Path) -> None:
    """Its patch fits the code, says who finds it, and comes out again."""
    bug.plant(copy)
    bug.plant(copy, remove=True)
    assert bug.text
    assert bug.found_by <= set(INVARIANTS)
    assert bug.found_by


def test_a_patch_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """And not a hunt for a bug that is not there."""
    with pytest.raises(ValueError, match="does not fit"):
        BUGS[0].plant(tmp_path)


def test_a_planted_bug_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """By the invariant that its patch names, in a process of its own; then it is shrunk there."""
    bug = next(bug for bug in BUGS if bug.name == "no-replay-window")
    found = hunt(bug, range(5))
    assert judge(bug, found)
    assert found.name == "nonce"
    assert found.shrunk is not None
    assert found.shrunk.after <= found.shrunk.before
    said = capsys.readouterr().out
    assert "ok" in said
    assert f"{found.shrunk.before} faults shrunk to {found.shrunk.after} in" in said


def test_the_report_ends_with_what_shrinking_usually_achieves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Medians, for one bug in ten may need many faults; nothing if nothing was found."""
    say_medians([Shrunk(9, 1, 8, 2.0, ""), Shrunk(5, 2, 9, 3.0, ""), Shrunk(7, 8, 30, 29.5, "")])
    assert capsys.readouterr().out == (
        "shrunk from 7 faults to 2 in 3.0 s (medians of 3); the slowest took 29.5 s\n"
    )
    say_medians([])
    assert capsys.readouterr().out == ""


def test_a_bug_that_is_found_by_another_invariant_is_not_good_enough() -> None:
    """Named beforehand means named beforehand."""
    bug = next(bug for bug in BUGS if bug.name == "no-replay-window")
    assert not judge(bug, hunt(None, range(1)))


def test_copies_are_not_measured() -> None:
    """A report of coverage would look for their lines, and fail since they are gone."""
    measured = {"COVERAGE_PROCESS_START": "pyproject.toml", "COVERAGE_FILE": "x", "HOME": "/root"}
    environment = environment_of("copy", measured)
    assert environment["PYTHONPATH"] == "copy"
    assert {name for name in environment if name in measured} == {"HOME"}
