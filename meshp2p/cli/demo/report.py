"""What a run of the demo found out, and whether that is all that it promises."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, Final

import attrs

AGENTS: Final = 5
CALLS: Final = 100
FAILOVER: Final = 5.0
"""Seconds. The demo promises less."""


@attrs.define
class Report:
    """Measurements; None for what was not reached.

    Args:
        agents: How many saw all.
        join_seconds: From starting the first process until then, interpreters included.
        call_seconds: Of each quick call.
        killed: Handle of the agent whose process was ended.
        failover_seconds: From just before that to the last interrupted call's start elsewhere.
        lost_tasks: Calls of the last scene without the right answer.
        problems: One sentence for each claim that did not hold.
    """

    agents: int = 0
    join_seconds: float | None = None
    call_seconds: list[float] = attrs.field(factory=list)
    auction_ms: float | None = None
    vote_ms: float | None = None
    vote_certificate_valid: bool = False
    killed: str | None = None
    interrupted: int = 0
    failover_seconds: float | None = None
    lost_tasks: int | None = None
    problems: list[str] = attrs.field(factory=list)

    def find(self, problem: str, *, unless: bool) -> None:
        """Note a claim that does not hold."""
        if not unless:
            self.problems.append(problem)

    @property
    def call_p50_us(self) -> float | None:
        """Half of the quick calls were faster."""
        return statistics.median(self.call_seconds) * 1e6 if self.call_seconds else None

    @property
    def ok(self) -> bool:
        """Whether every claim was verified."""
        return not self.problems and not list(self.missing())

    def missing(self) -> Iterator[str]:
        """What is promised and not here."""
        if self.agents < AGENTS:
            yield f"{self.agents} agents saw all, not {AGENTS}"
        if len(self.call_seconds) < CALLS:
            yield f"{len(self.call_seconds)} quick calls, not {CALLS}"
        if self.auction_ms is None:
            yield "no auction was held"
        if self.vote_ms is None or not self.vote_certificate_valid:
            yield "no vote was decided and certified"
        if self.killed is None or not self.interrupted:
            yield "no agent was killed at work"
        if self.failover_seconds is None or self.failover_seconds >= FAILOVER:
            yield f"the work did not go on elsewhere within {FAILOVER:.0f} s"
        if self.lost_tasks != 0:
            yield "calls were lost" if self.lost_tasks else "no work was done"

    def to_dict(self) -> dict[str, Any]:
        """The one object of `meshp2p demo --json`."""
        return {
            "ok": self.ok,
            "agents": self.agents,
            "join_seconds": _rounded(self.join_seconds, 3),
            "calls": len(self.call_seconds),
            "call_p50_us": _rounded(self.call_p50_us, 1),
            "auction_ms": _rounded(self.auction_ms, 2),
            "vote_ms": _rounded(self.vote_ms, 2),
            "vote_certificate_valid": self.vote_certificate_valid,
            "killed": self.killed,
            "failover_seconds": _rounded(self.failover_seconds, 3),
            "lost_tasks": self.lost_tasks,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The closing table: what was measured, and how much it was."""
        calls = len(self.call_seconds)
        return [
            ("agents that see all", str(self.agents)),
            ("all see all after", _shown(self.join_seconds, "s", 2)),
            (f"call, median of {calls}", _shown(self.call_p50_us, "us", 0)),
            ("auction, to the award", _shown(self.auction_ms, "ms", 1)),
            ("vote, to the proof", _shown(self.vote_ms, "ms", 1)),
            ("proof checked offline", "yes" if self.vote_certificate_valid else "no"),
            ("kill to work elsewhere", _shown(self.failover_seconds, "s", 3)),
            ("answers lost", "-" if self.lost_tasks is None else str(self.lost_tasks)),
        ]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _shown(value: float | None, unit: str, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f} {unit}"
