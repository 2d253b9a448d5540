"""How a campaign looks: lines for people while it runs, a summary or one JSON object after."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from textwrap import wrap
from typing import Any, Final, TextIO

import attrs

from meshp2p.cli import output
from meshp2p.simulation.campaign import Campaign, Entry
from meshp2p.simulation.coverage import FAULTS
from meshp2p.simulation.report import Finding, Reduced

_INDENT: Final = "  "
_LINE_EVERY: Final = 10.0
"""Real seconds between two lines of progress that stay."""
_REDRAW_EVERY: Final = 0.2
_NARROWEST: Final = 20
_CLEAR: Final = "\r\x1b[K"


def say(text: str, indent: str = "") -> None:
    """Print a sentence within the terminal's width."""
    width = max(_NARROWEST, shutil.get_terminal_size().columns)
    lines = wrap(
        output.printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent + _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    print("\n".join(lines), flush=True)


@attrs.define(eq=False)
class Show:
    """Tells people, or keeps quiet for programs.

    Args:
        progress: Where it is shown how far it is; None for nowhere.
        on_tick: Called now and then.
    """

    as_json: bool
    progress: TextIO | None
    on_tick: Callable[[Campaign], None]
    _next: float = 0.0
    _drawn: bool = False

    # --- while it goes on ----------------------------------------------------------

    def found(self, finding: Finding) -> None:
        """A promise was broken."""
        if not self.as_json:
            self._clear()
            say(f"{finding.scenario}, seed {finding.seed}: {_words(finding)}")
            say(f"replay: {finding.replay}", _INDENT)

    def reduced(self, reduced: Reduced) -> None:
        """It was shrunk."""
        if self.as_json:
            return
        self._clear()
        finding = reduced.finding
        faults = f"{reduced.before} faults to {reduced.after} in {reduced.runs} runs"
        say(f"{finding.scenario}, seed {finding.seed}, shrunk from {faults}: {_words(finding)}")
        code = [f"    {output.printable(line)}".rstrip() for line in reduced.code.splitlines()]
        print("", *code, "", sep="\n", flush=True)

    def irreducible(self, scenario: str, seed: int, why: str) -> None:
        """It was not shrunk."""
        if not self.as_json:
            self._clear()
            say(f"{scenario}, seed {seed}, could not be shrunk: {why}")

    def tick(self, campaign: Campaign) -> None:
        """Show how far it is."""
        if time.monotonic() >= self._next:
            moves = self.progress is not None and self.progress.isatty()
            self._next = time.monotonic() + (_REDRAW_EVERY if moves else _LINE_EVERY)
            self._draw(campaign, moves=moves)
            self.on_tick(campaign)

    def _draw(self, campaign: Campaign, *, moves: bool) -> None:
        if self.progress is None or not campaign.total.seeds:
            return
        text = _so_far(campaign)
        if moves:
            width = max(_NARROWEST, shutil.get_terminal_size().columns)
            self.progress.write(_CLEAR + text[: width - 1])
            self._drawn = True
        else:
            self.progress.write(text + "\n")
        self.progress.flush()

    def _clear(self) -> None:
        if self._drawn and self.progress is not None:
            self.progress.write(_CLEAR)
            self.progress.flush()
            self._drawn = False

    def cut_short(self, campaign: Campaign) -> None:
        """Sum up what there was until Ctrl-C."""
        if self.as_json:
            output.print_json({**facts_of(campaign, []), "interrupted": True})
            return
        if campaign.total.seeds:
            self.end(campaign, [], 0)
        output.interrupted(as_json=False)

    # --- in the end ----------------------------------------------------------------

    def end(self, campaign: Campaign, idle: list[str], least: int) -> None:
        """Sum it up; `idle` faults happened less often than `least`."""
        self._clear()
        if self.as_json:
            output.print_json(facts_of(campaign, idle))
            return
        for entry in campaign.entries:
            say(_verdict(entry))
        total = campaign.total
        say(f"{_count(total.seeds)} in {campaign.seconds:.1f} s: {_pace(campaign)}")
        happened = [f"{kind} {total.coverage[kind]}" for kind in FAULTS if total.coverage[kind]]
        say(f"faults that happened: {', '.join(happened) or 'none'}")
        if idle:
            say(f"fewer than {least} times, so too little was shown: {', '.join(idle)}")
        if campaign.drawn_nothing:
            say("no promise was broken: no run was worth a trace or a page")
        if total.findings:
            say(f"{len(total.findings)} of {total.seeds} seeds broke a promise")
        for text in campaign.unwritten:
            print(f"meshp2p: {output.printable(text)}", file=sys.stderr)


def _words(finding: Finding) -> str:
    whose = f" ({', '.join(finding.nodes)})" if finding.nodes else ""
    when = f"at {finding.at:.6f} s: " if finding.at else ""
    return f"{when}{finding.invariant}: {finding.text}{whose}"


def _so_far(campaign: Campaign) -> str:
    total = campaign.total
    words = [entry.word for entry in campaign.entries]
    name = words[0] if len(words) == 1 else f"{len(words)} scenarios"
    broken = f", {len(total.findings)} violations" if total.findings else ""
    return f"{name} {_progress(campaign)}{broken}, {_pace(campaign)}"


def _progress(campaign: Campaign) -> str:
    done, limits = campaign.total.seeds, campaign.limits
    if limits.seconds:
        return f"{done} seeds, {campaign.seconds:.0f}/{limits.seconds:.0f} s"
    return f"{done}/{max(campaign.asked, limits.seeds)}"


def _pace(campaign: Campaign) -> str:
    total, took = campaign.total, max(campaign.seconds, 1e-9)
    return (
        f"{total.seeds / took:.1f} seeds/s, {total.simulated / took:.0f} simulated seconds a "
        f"second, {total.node_hours:.2f} node-hours"
    )


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _verdict(entry: Entry) -> str:
    tally, word = entry.tally, entry.word
    broken = len(tally.findings)
    kept = "all promises kept" if not broken else f"{broken} broke a promise"
    parts = [f"{word}: {_count(tally.seeds)}, {kept}", f"{tally.node_hours:.3f} node-hours"]
    parts += [
        f"{what} {middle:.3g} (most {most:.3g})"
        for what, (middle, most) in tally.measured().items()
    ]
    return "; ".join(parts)


def facts_of(campaign: Campaign, idle: list[str]) -> dict[str, Any]:
    """The campaign as one object."""
    total, took = campaign.total, max(campaign.seconds, 1e-9)
    shrunk = {(each.finding.scenario, each.finding.seed): each for each in campaign.reductions}
    return {
        **{name: value for name, value in total.facts().items() if name != "figures"},
        "kept": not total.findings and not idle,
        "violations": [
            _violation(each, shrunk.get((each.scenario, each.seed))) for each in total.findings
        ],
        "seconds": round(took, 3),
        "seeds_per_second": round(total.seeds / took, 3),
        "simulated_seconds_per_second": round(total.simulated / took, 3),
        "coverage": dict(sorted(total.coverage.items())),
        "too_rare": idle,
        "unwritten": campaign.unwritten,
        "interrupted": False,
        "scenarios": {entry.word: entry.tally.facts() for entry in campaign.entries},
    }


def _violation(finding: Finding, reduced: Reduced | None) -> dict[str, Any]:
    facts = attrs.asdict(finding) | {"replay": finding.replay}
    if reduced is not None:
        facts["shrunk"] = {
            **attrs.asdict(reduced.finding),
            "faults_before": reduced.before,
            "faults": reduced.after,
            "runs": reduced.runs,
            "code": reduced.code,
        }
    return facts


def progress_for(stream: TextIO, *, as_json: bool) -> TextIO | None:
    """Where to show how far it is: programs that read stderr do not want to know."""
    return None if as_json and not stream.isatty() else stream
