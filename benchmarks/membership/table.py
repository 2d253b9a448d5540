"""Rows of figures, printed below the configuration that they belong to."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import attrs

from meshp2p.config import Config

Row: TypeAlias = dict[str, Any]
"""Figures by the heading of their column."""

_WIDTH: Final = 96
_MEMBERSHIP: Final = (
    "probe_interval",
    "ack_timeout_min",
    "ack_timeout",
    "indirect_timeout",
    "indirect_probes",
    "lifeguard",
    "health_max",
    "suspicion_min_multiplier",
    "suspicion_max_multiplier",
    "gossip_interval",
    "gossip_fanout",
    "retransmit_multiplier",
    "sync_patience",
    "sync_interval",
    "lost_retry_interval",
)
"""Knobs on which the figures depend."""


@attrs.frozen(kw_only=True)
class Table:
    """What one benchmark saw.

    Args:
        config: Of all nodes that it measured.
        notes: How it was measured, for whoever compares.
    """

    title: str
    config: Config
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        """For people: configuration, title, rows, notes."""
        lines = [wrapped("lan: " + configured(self.config)), "", self.title]
        lines += aligned(self.rows)
        return "\n".join([*lines, *(wrapped(note) for note in self.notes), ""])

    def json(self) -> str:
        """For programs: one line."""
        knobs = {name: getattr(self.config, name) for name in _MEMBERSHIP}
        fields = {"title": self.title, "config": knobs, "rows": self.rows, "notes": self.notes}
        return json.dumps(fields)


def configured(config: Config) -> str:
    """The values of the knobs on which membership depends."""
    return ", ".join(f"{name} {getattr(config, name):g}" for name in _MEMBERSHIP)


def wrapped(text: str) -> str:
    """In lines that fit a page."""
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ")


def aligned(rows: Sequence[Row]) -> list[str]:
    """Headings, then one line for each row; columns as wide as they must be."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_shown(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004  # digits
    return f"{value:,}" if isinstance(value, int) else str(value)


def spread(seconds: Iterable[float | None], what: str = "s") -> Row:
    """Median and worst of several runs; those that never ended are counted beside.

    Args:
        seconds: None for a run that was given up.
        what: Begins the headings.
    """
    given = list(seconds)
    ended = [each for each in given if each is not None]
    row: Row = {
        f"{what}, median": round(statistics.median(ended), 3) if ended else None,
        f"{what}, worst": round(max(ended), 3) if ended else None,
    }
    if len(ended) < len(given):
        row[f"{what}, never"] = f"{len(given) - len(ended)} of {len(given)}"
    return row
