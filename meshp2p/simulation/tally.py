"""What a campaign has seen, counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.coverage import COVERED
from meshp2p.simulation.report import Finding, Report

_SECONDS_PER_HOUR: Final = 3_600


@attrs.define
class Tally:
    """Totals of one scenario, or of a whole campaign.

    Args:
        lost: Seeds whose process died or hung, with the reason.
    """

    seeds: int = 0
    simulated: Seconds = 0.0
    node_seconds: Seconds = 0.0
    events: int = 0
    cpu: Seconds = 0.0
    coverage: Counter[str] = attrs.field(factory=Counter)
    findings: list[Finding] = attrs.field(factory=list)
    figures: defaultdict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))

    def add(self, report: Report) -> None:
        """Count one seed."""
        self.seeds += 1
        self.simulated += report.simulated
        self.node_seconds += report.node_seconds
        self.events += report.events
        self.cpu += report.cpu
        self.coverage.update(report.coverage)
        if report.finding is not None:
            self.findings.append(report.finding)
        for what, value in report.figures.items():
            self.figures[what].append(value)

    def lose(self, finding: Finding) -> None:
        """Count a seed that never came back."""
        self.seeds += 1
        self.findings.append(finding)

    @property
    def node_hours(self) -> float:
        """Simulated hours, each node counted."""
        return self.node_seconds / _SECONDS_PER_HOUR

    def idle(self, least: int) -> list[str]:
        """What happened less often than that."""
        return [kind for kind in COVERED if self.coverage[kind] < least]

    def measured(self) -> Mapping[str, tuple[float, float]]:
        """Median and maximum of each figure."""
        return {what: (median(values), max(values)) for what, values in self.figures.items()}

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seeds": self.seeds,
            "violations": len(self.findings),
            "simulated_seconds": round(self.simulated, 3),
            "node_hours": round(self.node_hours, 4),
            "events": self.events,
            "cpu_seconds": round(self.cpu, 3),
            "figures": {
                what: {"median": round(middle, 4), "most": round(most, 4)}
                for what, (middle, most) in self.measured().items()
            },
        }
