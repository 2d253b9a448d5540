"""The command line; see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import benchmarks.membership as package
from benchmarks.membership import byzantine, lifeguard, namespace, rapid, real, serf, simulated
from benchmarks.membership.forks import Forks
from benchmarks.membership.table import Table

Tables: TypeAlias = Iterator[Table]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    arguments = _parser().parse_args(argv)
    measure: Callable[[argparse.Namespace], Tables] = arguments.measure
    for table in measure(arguments):
        print(table.json() if arguments.json else table, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.membership",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="what")
    for add in (_add_real, _add_byzantine, _add_detect, _add_experiments):
        add(commands)
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # its type has no public name
_LARGEST: Final = 250
"""Members that have addresses of their own in one network."""


def _add_real(commands: _Commands) -> None:
    for name, measure, text in (
        ("join", _join, "real processes: from a signal until each lists all"),
        ("crash", _crash, "real processes: one is killed, one falls silent"),
        ("idle", _idle, "real processes: bytes, CPU and memory while nothing happens"),
    ):
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(measure=measure)
        one.add_argument("--sizes", type=_size, nargs="+", default=[20])
        one.add_argument("--serf", action="store_true", help="beside it, if it is installed")
        one.add_argument("--json", action="store_true")
        if name == "join":
            one.add_argument("--runs", type=int, default=5)
        if name == "crash":
            one.add_argument("--deaths", type=int, default=11)
            one.add_argument("--only", choices=["kill", "silence"])
        if name == "idle":
            one.add_argument("--quiet", type=float, default=5.0, help="minutes before")
            one.add_argument("--minutes", type=float, default=10.0, help="measured")
            one.add_argument("--encrypted", action="store_true", help="serf with its key as well")


def _add_byzantine(commands: _Commands) -> None:
    text = "real processes: members with valid credentials lie at full speed"
    liars = commands.add_parser("byzantine", help=text, description=text)
    liars.set_defaults(measure=_byzantine)
    liars.add_argument("--honest", type=_size, default=5)
    liars.add_argument("--liars", type=int, nargs="+", default=[1, 2])
    liars.add_argument("--seconds", type=float, default=60.0)
    liars.add_argument("--kinds", nargs="*", default=[], help="of lies; all if none are named")
    liars.add_argument("--deaths", type=int, default=3)
    liars.add_argument("--json", action="store_true")


def _size(text: str) -> int:
    size = int(text)
    if not 2 <= size <= _LARGEST:  # noqa: PLR2004  # one knows nobody
        raise argparse.ArgumentTypeError(f"{size}: allowed are 2 to {_LARGEST} processes")
    return size


def _add_detect(commands: _Commands) -> None:
    text = "simulated: deaths, storms, hours of loss, partitions"
    detect = _simulated(commands, "detect", _detect, text)
    detect.add_argument("--sizes", type=int, nargs="*", default=[20, 50, 100], help="of deaths")
    detect.add_argument("--deaths", type=int, default=11)
    text = "1000 take minutes of CPU a seed and 4 GB"
    detect.add_argument("--storms", type=int, nargs="*", default=[50, 100], help=text)
    detect.add_argument("--seeds", type=int, default=10, help="of each storm")
    detect.add_argument("--members", type=int, default=100, help="that lose packets")
    detect.add_argument("--hours", type=float, default=0.1, help="virtual; 0 for none")
    detect.add_argument("--losses", type=float, nargs="+", default=[0.0, 0.05, 0.2])
    detect.add_argument("--split", type=int, default=20, help="members that are split in two")
    text = "seconds; 86400 takes a quarter of an hour"
    detect.add_argument("--splits", type=float, nargs="*", default=[1.0, 60.0, 3600.0], help=text)


def _add_experiments(commands: _Commands) -> None:
    text = "simulated: Lifeguard's experiment beside plain SWIM"
    guard = _simulated(commands, "lifeguard", _lifeguard, text)
    guard.add_argument("--members", type=int, default=128)
    guard.add_argument("--full", action="store_true", help="all durations and intervals, 10 runs")
    guard.add_argument("--stalled", type=int, nargs="+", default=list(lifeguard.STALLED))
    guard.add_argument("--durations", type=float, nargs="+", default=[2.048, 16.384])
    guard.add_argument("--intervals", type=float, nargs="+", default=[0.064, 1.024])
    guard.add_argument("--seconds", type=float, default=120.0, help="of stalls in each")
    guard.add_argument("--runs", type=int, default=1)
    guard.add_argument("--deaths", type=int, default=21)
    text = "simulated: deaf and lossy members remove nobody"
    half = _simulated(commands, "rapid", _rapid, text)
    half.add_argument("--members", type=int, default=100)
    half.add_argument("--seconds", type=float, default=200.0)
    text = "simulated: one stands still five seconds in every ten"
    still = _simulated(commands, "stalls", _stalls, text)
    still.add_argument("--members", type=int, default=60)
    still.add_argument("--seconds", type=float, default=300.0)


def _simulated(
    commands: _Commands, name: str, measure: Callable[[argparse.Namespace], Tables], text: str
) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=text, description=text)
    one.set_defaults(measure=measure)
    one.add_argument("--workers", type=int, default=2, help="processes at once")
    text = "a folder: what was simulated is kept there, and not simulated again by this version"
    one.add_argument("--keep", type=Path, metavar="DIR", help=text)
    one.add_argument("--json", action="store_true")
    return one


# --- real ------------------------------------------------------------------------------


def _kinds(arguments: argparse.Namespace) -> list[real.Start]:
    namespace.enter()
    if namespace.is_inside():
        namespace.prepare()
    if arguments.serf and not serf.is_installed():
        print("serf is not installed: apt-get install serf", file=sys.stderr)
    wanted = arguments.serf and serf.is_installed()
    return real.kinds(serf=wanted, encrypted=getattr(arguments, "encrypted", False))


def _join(arguments: argparse.Namespace) -> Iterator[Table]:
    yield real.join(arguments.sizes, arguments.runs, _kinds(arguments))


def _crash(arguments: argparse.Namespace) -> Iterator[Table]:
    kinds = _kinds(arguments)
    if arguments.only != "silence":
        yield real.crash(arguments.sizes, arguments.deaths, kinds, "kill")
    if arguments.only != "kill":
        if namespace.is_inside():
            yield real.crash(arguments.sizes, arguments.deaths, kinds, "silence")
        else:
            print("silent hosts need root, unshare, ip and nft: left out", file=sys.stderr)


def _idle(arguments: argparse.Namespace) -> Iterator[Table]:
    kinds = _kinds(arguments)
    quiet, measured = arguments.quiet * 60, arguments.minutes * 60
    yield real.idle(arguments.sizes, quiet, measured, kinds)


def _byzantine(arguments: argparse.Namespace) -> Iterator[Table]:
    namespace.enter()
    if namespace.is_inside():
        namespace.prepare()
    yield byzantine.byzantine(
        arguments.honest,
        arguments.seconds,
        arguments.liars,
        arguments.kinds,
        deaths=arguments.deaths,
    )


# --- simulated -------------------------------------------------------------------------


def _forks(arguments: argparse.Namespace) -> Forks:
    return Forks(arguments.workers, arguments.keep)


def _detect(arguments: argparse.Namespace) -> Iterator[Table]:
    forks = _forks(arguments)
    if arguments.sizes and arguments.deaths:
        yield simulated.deaths(arguments.sizes, arguments.deaths, forks)
    if arguments.storms and arguments.seeds:
        yield simulated.storms(arguments.storms, arguments.seeds, forks)
    if arguments.splits:
        yield simulated.partitions(arguments.split, arguments.splits, forks)
    if arguments.hours:
        hours, losses = arguments.hours, arguments.losses
        yield simulated.false_deaths(arguments.members, hours, losses, forks)


def _lifeguard(arguments: argparse.Namespace) -> Iterator[Table]:
    durations, intervals, runs = arguments.durations, arguments.intervals, arguments.runs
    if arguments.full:
        durations, intervals, runs = lifeguard.DURATIONS, lifeguard.INTERVALS, 10
    grid = lifeguard.grid(arguments.stalled, durations, intervals, arguments.seconds, runs)
    yield from lifeguard.experiment(arguments.members, grid, arguments.deaths, _forks(arguments))


def _rapid(arguments: argparse.Namespace) -> Iterator[Table]:
    yield rapid.rapid(arguments.members, arguments.seconds, _forks(arguments))


def _stalls(arguments: argparse.Namespace) -> Iterator[Table]:
    yield rapid.stalls(arguments.members, arguments.seconds)


if __name__ == "__main__":
    main()
