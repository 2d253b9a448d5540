"""`meshp2p simulate`: from its words to a campaign, and to an exit status."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from itertools import combinations
from pathlib import Path
from typing import Final

from meshp2p.cli import output
from meshp2p.cli.simulate.show import Show, progress_for
from meshp2p.cli.simulate.state import State
from meshp2p.errors import MeshError, UsageError
from meshp2p.simulation import catalogue
from meshp2p.simulation.campaign import Campaign, Entry, Limits
from meshp2p.simulation.crew import CrewError
from meshp2p.simulation.pictures import Pictures

ALL: Final = "all"
_SAVE_EVERY: Final = 10.0
"""Real seconds; so much of a campaign that is killed is done again."""
_PER_MINUTE: Final = 60.0


class CannotSimulateError(MeshError):
    """This machine starts no further process, or none that works."""


def simulate(options: Namespace) -> int:
    """Run scenarios; the exit status tells whether every promise was kept.

    Raises:
        UsageError: What was asked for cannot be meant.
        CannotSimulateError: No process can be started.
    """
    if options.list:
        return _list(options)
    state = State(Path(options.state)) if options.state else None
    entries = [_entry(word, options, state) for word in _words(options)]
    _check(options, entries)
    pictures = Pictures(trace=options.trace, html=options.html)
    saver = _Saver(state)
    show = Show(options.json, progress_for(sys.stderr, as_json=options.json), saver)
    campaign = Campaign(entries, _limits(options), show, pictures)
    try:
        campaign.run(options.jobs)
    except CrewError as error:
        raise CannotSimulateError(str(error)) from error
    except KeyboardInterrupt:
        show.cut_short(campaign)
        return output.INTERRUPTED
    finally:
        saver.save(campaign)
    return _judge(campaign, show, options.cover)


def _judge(campaign: Campaign, show: Show, least: int) -> int:
    idle = campaign.total.idle(least)
    show.end(campaign, idle, least)
    if campaign.total.findings or idle:
        return output.FAILED
    return output.USAGE if campaign.unwritten else output.DONE


class _Saver:
    """Saves now and then."""

    def __init__(self, state: State | None) -> None:
        self._state = state
        self._next = time.monotonic() + _SAVE_EVERY

    def __call__(self, campaign: Campaign) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SAVE_EVERY
            self.save(campaign)

    def save(self, campaign: Campaign) -> None:
        if self._state is not None:
            self._state.save(campaign)


def _list(options: Namespace) -> int:
    names = catalogue.names()
    if options.json:
        claims = [{"name": name, "claim": catalogue.claim_of(name)} for name in names]
        output.print_json({"scenarios": claims})
    else:
        print("\n".join(names))
    return output.DONE


def _words(options: Namespace) -> list[str]:
    words = list(dict.fromkeys(options.scenarios))
    if not words:
        raise UsageError("name a scenario, or `all`; `meshp2p simulate --list` shows them")
    if ALL in words and words != [ALL]:
        others = " ".join(word for word in words if word != ALL)
        raise UsageError(f"`all` is every scenario there is: leave it out, or leave out {others}")
    return catalogue.names() if words == [ALL] else words


def _entry(word: str, options: Namespace, state: State | None) -> Entry:
    found = catalogue.find(word)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    elif options.seeds is not None and options.large_seeds is not None and found.is_large:
        seeds = options.large_seeds
    elif options.seeds is not None:
        seeds = options.seeds
    elif state is not None:
        first = state.next_seed(word)
        return Entry(found, range(first, first), first)
    else:
        seeds = found.seeds
    return Entry(found, seeds, seeds.stop)


def _check(options: Namespace, entries: list[Entry]) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: It cannot.
    """
    further = options.minutes or options.at_least
    if options.state and not further:
        raise UsageError("--state goes on with further seeds: say how long with --minutes")
    if options.seed is not None and (further or options.state):
        raise UsageError("--seed replays one run; --minutes, --at-least and --state ask for more")
    if options.large_seeds is not None and options.seeds is None:
        raise UsageError("--large-seeds goes with --seeds")
    _check_files([Path(path) for path in (options.trace, options.html, options.state) if path])
    if not entries:
        raise UsageError("there is no scenario to run")


def _check_files(paths: list[Path]) -> None:
    """Refuse files in which one thing would overwrite another.

    Raises:
        UsageError: Two are the same, or one cannot be written.
    """
    for path in paths:
        _check_writable(path)
    for one, other in combinations(paths, 2):
        same = one.exists() and other.exists() and one.samefile(other)
        if same or one.resolve() == other.resolve():
            raise UsageError(f"{one} and {other} are the same file: each needs one of its own")


def _check_writable(path: Path) -> None:
    """Hours later would be too late.

    Raises:
        UsageError: Nobody can write there, or not we.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be written: its folder does not exist")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{path} cannot be written")


def _limits(options: Namespace) -> Limits:
    return Limits(
        seconds=options.minutes * _PER_MINUTE,
        seeds=options.at_least,
        patience=options.patience,
        fail_fast=options.fail_fast,
    )
