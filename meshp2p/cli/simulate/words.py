"""The words of `meshp2p simulate`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

_ABOUT: Final = """\
Runs a whole mesh in this machine's memory and in virtual time, once for each seed: what
befalls it is drawn at random or written in the scenario, and every promise of the protocol
is watched. The first seed that breaks one is shrunk to the fewest faults that break it.
"""

_EXAMPLES: Final = """\
examples:
  meshp2p simulate --list                        the scenarios
  meshp2p simulate swarm --seeds 0:2000          random faults, two thousand times
  meshp2p simulate swarm --seed 17 --html run.html
  meshp2p simulate my_scenario.py                one of your own
  meshp2p simulate all --minutes 60 --state simulated.json

exit status: 0 all promises kept   1 one was broken   2 wrong usage, or no trace or page
could be written   130 interrupted
"""


_SPANS: Final = ("--seeds", "--large-seeds")


def tied(words: Sequence[str]) -> list[str]:
    """The same words, in which a span of seeds that begins with a minus is no option.

    argparse takes `-3:2` for one, and says nothing of what is wrong with it.
    """
    tied: list[str] = []
    for word in words:
        if tied and tied[-1] in _SPANS and word[:1] == "-" and word[1:2].isdigit():
            tied[-1] += f"={word}"
        else:
            tied.append(word)
    return tied


def simulate_options(command: argparse.ArgumentParser) -> None:
    """What the command understands."""
    command.description = _ABOUT
    command.epilog = _EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="a name, the path of a .py file, or `all`",
    )
    command.add_argument("--list", action="store_true", help="print the names, one a line")
    _which(command)
    _how_long(command)
    command.add_argument(
        "--trace", metavar="FILE", default="", help="write the shrunk run as JSON lines"
    )
    command.add_argument(
        "--html", metavar="FILE", default="", help="draw the shrunk run as a page for a browser"
    )


def _which(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds", type=_range, metavar="FROM:TO", help="default: each scenario's own"
    )
    which.add_argument("--seed", type=_count, metavar="N", help="replay this one")
    command.add_argument(
        "--large-seeds",
        type=_range,
        metavar="FROM:TO",
        help="instead of --seeds for scenarios of more than 20 nodes",
    )
    command.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes; default: one for each processor",
    )


def _how_long(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--minutes", type=_minutes, default=0.0, metavar="N", help="go on with further seeds"
    )
    command.add_argument(
        "--at-least",
        type=_count,
        default=0,
        metavar="N",
        help="go on until so many seeds were run in all",
    )
    command.add_argument(
        "--state", metavar="FILE", default="", help="go on after the last seed recorded there"
    )
    command.add_argument(
        "--cover",
        type=_count,
        default=0,
        metavar="N",
        help="fail if a kind of fault happened less often than that",
    )
    command.add_argument("--fail-fast", action="store_true", help="stop at the first violation")
    command.add_argument(
        "--patience",
        type=_minutes,
        default=300.0,
        metavar="SECONDS",
        help="for one seed, then its process is ended; default: 300",
    )


def _count(text: str) -> int:
    """Read a number from 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are whole numbers from 0")
    return int(text)


def _positive(text: str) -> int:
    """Read a number from 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    number = _count(text)
    if not number:
        raise argparse.ArgumentTypeError("0: allowed are whole numbers from 1")
    return number


def _range(text: str) -> range:
    """Read FROM:TO; TO itself does not belong to it.

    Raises:
        ArgumentTypeError: It is none, or empty.
    """
    first, colon, last = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r}: write FROM:TO, or --seed for one")
    seeds = range(_count(first), _count(last))
    if seeds.stop > sys.maxsize:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are seeds up to {sys.maxsize}")
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed: TO must be above FROM")
    return seeds


def _minutes(text: str) -> float:
    """Read a time above 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        time = float(text)
    except ValueError:
        time = 0.0
    if not 0 < time < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are numbers above 0")
    return time
