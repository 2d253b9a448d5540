"""A run and what is kept of it: a trace, a page for a browser, or why there is none.

A file that cannot be written is no matter of the mesh: the run has its outcome all the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import attrs

from meshp2p.simulation.script import play
from meshp2p.simulation.swarm import Outcome, Plan, Scenario
from meshp2p.simulation.timeline_page import write_page
from meshp2p.simulation.trace import BrokenTrace, write_trace
from meshp2p.simulation.world import World


@attrs.frozen(kw_only=True)
class Pictures:
    """Files to write of a run; empty names for none."""

    trace: str = ""
    html: str = ""

    def __bool__(self) -> bool:
        """Whether any is wanted."""
        return bool(self.trace or self.html)


NO_PICTURES: Final = Pictures()


def pictured(
    scenario: Scenario, plan: Plan, called: str, pictures: Pictures
) -> tuple[Outcome, str]:
    """Play a plan and write what was asked for of what happens.

    Args:
        called: How the command that replays it names the scenario.

    Returns:
        What came of the run, and which file could not be written and why: a sentence.
    """
    if not pictures:
        return play(scenario, plan, called=called), ""
    try:
        scratch = tempfile.TemporaryDirectory()
    except OSError as error:
        return play(scenario, plan, called=called), _sentence("a temporary folder", error)
    unwritten: list[str] = []
    with scratch as folder:
        path = Path(pictures.trace or Path(folder, "run.jsonl"))
        outcome = _traced(scenario, plan, called, path, unwritten)
        if pictures.html and not unwritten:
            with _noting(unwritten, f"the page {pictures.html}"):
                write_page(path, pictures.html, title=f"{scenario.name}, seed {plan.seed}")
    return outcome, "; ".join(unwritten)


def _traced(
    scenario: Scenario, plan: Plan, called: str, path: Path, unwritten: list[str]
) -> Outcome:
    with _noting(unwritten, f"the trace {path}"), ExitStack() as written:

        def begin(world: World) -> None:
            with _noting(unwritten, f"the trace {path}"):
                written.enter_context(write_trace(world, path, scenario=scenario.name))

        outcome = play(scenario, plan, called=called, prepare=begin)
    return outcome  # noqa: RET504  # outside: what closing the file raises would replace it


@contextmanager
def _noting(unwritten: list[str], what: str) -> Iterator[None]:
    """Let nothing out that is a file's fault, and write down what it was."""
    try:
        yield
    except (OSError, BrokenTrace) as error:
        unwritten.append(_sentence(what, error))


def _sentence(what: str, error: OSError | BrokenTrace) -> str:
    why = error.strerror if isinstance(error, OSError) else None
    return f"{what} could not be written: {why or error}"
