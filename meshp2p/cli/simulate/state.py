"""What earlier campaigns have done, in a file: the next seed of each scenario, and totals."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any, Final

from meshp2p.errors import UsageError
from meshp2p.simulation.campaign import Campaign

_FORMAT: Final = 1
_TOTALS: Final = ("seeds", "violations", "simulated_seconds", "node_hours", "events", "cpu_seconds")


class State:
    """The file as it was read, to which a campaign adds.

    Args:
        path: Need not exist; its folder must.
    """

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            UsageError: It cannot be read, or is something else.
        """
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        self._before = _read(text, path) if text else {}

    def next_seed(self, word: str) -> int:
        """Of a scenario, 0 if it never ran."""
        return int(self._before.get(word, {}).get("next", 0))

    def save(self, campaign: Campaign) -> None:
        """Write what was before and what the campaign has done so far, all or nothing.

        Raises:
            UsageError: It cannot be written.
        """
        scenarios = dict(self._before)
        for entry in campaign.entries:
            before = self._before.get(entry.word, {})
            facts = entry.tally.facts()
            now = {what: round(before.get(what, 0) + facts[what], 4) for what in _TOTALS}
            failed = [*before.get("failed", []), *(each.seed for each in entry.tally.findings)]
            next_seed = max(before.get("next", 0), campaign.next_seed(entry))
            scenarios[entry.word] = {"next": next_seed, **now, "failed": sorted(set(failed))}
        text = json.dumps({"simulate": _FORMAT, "scenarios": scenarios}, indent=2) + "\n"
        new = self.path.with_name(self.path.name + ".new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error}") from error


def _read(text: str, path: Path) -> dict[str, dict[str, Any]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"simulate": int(number), "scenarios": dict(scenarios)} if number == _FORMAT:
            if all(map(_is_entry, scenarios.values())):
                return scenarios
    raise UsageError(f"{path} was not written by `meshp2p simulate --state`")


def _is_entry(value: object) -> bool:
    """Whether `State.save` may have written it: hours later would be too late to find out."""
    if not isinstance(value, dict):
        return False
    failed = value.get("failed", [])
    counts = [value.get("next", 0), *(failed if isinstance(failed, list) else [None])]
    totals = [value.get(what, 0) for what in _TOTALS]
    whole = all(type(each) is int and each >= 0 for each in counts)
    return whole and all(type(each) in (int, float) and isfinite(each) for each in totals)
