"""Real processes: how soon all know all, how soon a death is known, what quiet costs."""

from __future__ import annotations

import functools
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from benchmarks.membership import namespace
from benchmarks.membership.mesh import Mesh, now
from benchmarks.membership.readings import Traffic, cpu_seconds, load, resident_bytes
from benchmarks.membership.serf import Serf
from benchmarks.membership.table import Row, Table, spread
from meshp2p.config import lan
from meshp2p.ids import Seconds

Fleet: TypeAlias = Mesh | Serf
Start: TypeAlias = Callable[[int], Fleet]

PATIENCE: Final[Seconds] = 120.0
REST: Final[Seconds] = 5.0

KILLED: Final = "kill -9: its machine refuses what is sent to it"
SILENT: Final = (
    "silent: a firewall in the namespace loses all that it sends and is sent; it runs and does "
    "not notice"
)


def kinds(*, serf: bool, encrypted: bool = False) -> list[Start]:
    """What is measured, one beside the other."""
    sealed = functools.partial(Serf, encrypted=True)
    return [Mesh, *([Serf] if serf else []), *([sealed] if serf and encrypted else [])]


@contextmanager
def running(start: Start, size: int) -> Iterator[Fleet]:
    """So many of a kind, ended afterwards."""
    fleet = start(size)
    try:
        yield fleet
    finally:
        fleet.close()
        if namespace.is_inside():
            namespace.unsilence_all()  # the next may have its addresses and groups


def join(
    sizes: Sequence[int], runs: int, starts: Sequence[Start], *, patience: Seconds = PATIENCE
) -> Table:
    """From a common signal until each lists all, through one seed.

    Args:
        patience: A run in which one does not by then is counted as never.
    """
    before = load()
    rows = [_joins(size, runs, start, patience) for size in sizes for start in starts]
    notes = [Mesh.how, *([Serf.how] if len(starts) > 1 else []), *_loads(before)]
    title = "Join storm: seconds from the signal until the last process lists all"
    return Table(title=title, config=lan(), rows=rows, notes=notes)


def _joins(size: int, runs: int, start: Start, patience: Seconds) -> Row:
    times, cpu, name = [], [], ""
    for number in range(runs):
        with running(start, size) as fleet:
            name, before = fleet.name, cpu_seconds(fleet.pids)
            times.append(worst(fleet.whole(fleet.begin(), patience)))
            cpu.append((cpu_seconds(fleet.pids) - before) / size)
        _say(f"join of {size}, run {number + 1} of {runs}, {name}: {times[-1]}")
    spent = {"CPU s a node": round(statistics.median(cpu), 3)}
    return {"nodes": size, "of": name, "runs": runs, **spread(times, "whole"), **spent}


def crash(
    sizes: Sequence[int],
    deaths: int,
    starts: Sequence[Start],
    how: Literal["kill", "silence"],
    *,
    rest: Seconds = REST,
) -> Table:
    """One dies, until each of the others lists it as dead; then it returns.

    Args:
        rest: Between two deaths, so that what the last one left behind dies away.
    """
    rows, before = [], load()
    for size in sizes:
        for start in starts:
            with running(start, size) as fleet:
                rows.append({"nodes": size, "of": fleet.name, **_deaths(fleet, deaths, how, rest)})
    title = "Death of one, " + (KILLED if how == "kill" else SILENT)
    title += "; seconds until the first and the last of the others list it as dead"
    return Table(title=title, config=lan(), rows=rows, notes=_loads(before))


def _deaths(fleet: Fleet, deaths: int, how: Literal["kill", "silence"], rest: Seconds) -> Row:
    first, last, rng = [], [], random.Random(7)
    await_whole(fleet, fleet.begin(), rest)
    for number in range(deaths):
        victim = rng.randrange(1, fleet.size)
        at = fleet.kill(victim) if how == "kill" else fleet.silence(victim)
        times = fleet.known("dead", victim, at, PATIENCE)
        first.append(min((each for each in times if each is not None), default=None))
        last.append(worst(times))
        _say(f"{fleet.name}: death {number + 1} of {deaths} among {fleet.size}: {last[-1]}")
        if number + 1 < deaths:
            back = now()
            fleet.revive(victim) if how == "kill" else fleet.unsilence(victim)
            await_whole(fleet, back, rest)
    return {"deaths": deaths, **spread(first, "first"), **spread(last, "all")}


def kill_some(fleet: Fleet, deaths: int, rest: Seconds) -> list[Seconds | None]:
    """Kill one and start it again, so often: when the last of the others knew each death."""
    known = []
    for number in range(deaths):
        victim = 1 + number % (fleet.size - 1)
        at = fleet.kill(victim)
        known.append(worst(fleet.known("dead", victim, at, PATIENCE)))
        back = now()
        fleet.revive(victim)
        await_whole(fleet, back, rest)
    return known


def await_whole(fleet: Fleet, since: Seconds, rest: Seconds) -> None:
    """Until all list all, and a random while longer: deaths come at no special moment.

    Raises:
        RuntimeError: They do not.
    """
    if None in fleet.whole(since, PATIENCE):
        raise RuntimeError(f"{fleet.name}: not whole within {PATIENCE:g} s")
    time.sleep(rest + random.random())  # not in step with anybody's rounds of probes


def idle(sizes: Sequence[int], quiet: Seconds, measured: Seconds, starts: Sequence[Start]) -> Table:
    """What nodes send, compute and hold while nothing happens."""
    if not namespace.is_inside():
        raise RuntimeError("idle needs a network namespace of its own: root, unshare, ip and nft")
    before = load()
    rows = []
    for size in sizes:
        for start in starts:
            with running(start, size) as fleet:
                rows.append({"nodes": size, "of": fleet.name, **_quiet(fleet, quiet, measured)})
    how = (
        f"Counted for {measured / 60:g} min after {quiet / 60:g} min of quiet, from the counters "
        "of the namespace's loopback interface: each packet once, with IP, UDP and TCP headers "
        "(what a node sends is, on average, what it receives); handshakes and acknowledgements "
        "of TCP included. CPU from /proc/*/stat, memory from /proc/*/statm (shared pages count "
        "for each)."
    )
    title = "Idle: what each node sends, computes and holds"
    return Table(title=title, config=lan(), rows=rows, notes=[how, *_loads(before)])


def _quiet(fleet: Fleet, quiet: Seconds, measured: Seconds) -> Row:
    if None in fleet.whole(fleet.begin(), PATIENCE):
        raise RuntimeError(f"{fleet.name}: not whole within {PATIENCE:g} s")
    time.sleep(quiet)
    at, traffic, cpu = now(), Traffic.now(), cpu_seconds(fleet.pids)
    time.sleep(measured)
    took, sent = now() - at, Traffic.now().since(traffic)
    cpu = cpu_seconds(fleet.pids) - cpu
    held = resident_bytes(fleet.pids)
    _say(f"{fleet.name}: {fleet.size} idle ones measured")
    return {
        "B/s": round(sent.sent / took / fleet.size, 1),
        "packets/s": round(sent.packets / took / fleet.size, 2),
        "CPU s/min": round(cpu / took * 60 / fleet.size, 4),
        "RSS MiB": round(statistics.median(held) / (1 << 20), 1),
        "suspected": fleet.count("suspect", at),
        "declared dead": fleet.count("dead", at),
    }


def worst(times: Sequence[Seconds | None]) -> Seconds | None:
    """The worst; None if one never came."""
    known = [each for each in times if each is not None]
    return max(known) if len(known) == len(times) else None


def _loads(before: str) -> list[str]:
    return [f"Machine before: {before}.", f"Machine after: {load()}."]


def _say(text: str) -> None:
    print(text, file=sys.stderr)
