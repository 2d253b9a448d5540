"""What somebody chose from outside: pytest's command line does."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, NamedTuple


class Files(NamedTuple):
    """Where a run is recorded: paths, or "" for nowhere."""

    trace: str = ""
    html: str = ""


SEEDS: Final[ContextVar[tuple[int, ...]]] = ContextVar("meshp2p_testing_seeds", default=())
"""If there are any, every simulated test runs with these instead of its own."""
FILES: Final[ContextVar[Files]] = ContextVar(
    "meshp2p_testing_files",
    default=Files(),  # noqa: B039  # a tuple does not change
)
"""Where runs are recorded; each overwrites the one before, so the failing one stays."""
MARK: Final = "__meshp2p_simulated__"
"""Attribute of a simulated test: its `plan.Plan`."""
