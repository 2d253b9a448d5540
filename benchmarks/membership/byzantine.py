"""Members that lie at full speed, among real processes that keep to the protocol.

    python -m benchmarks.membership.byzantine '{"number": 1, ...}'

is one liar in a process of its own: it joins through the first address, lies for so many
seconds, and leaves. Whatever it says, the others' beliefs about each other must stay true,
and their memory bounded.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.membership.insider import Insider
from benchmarks.membership.lies import Lies
from benchmarks.membership.mesh import BOOT, PORT, Mesh, Seen, now
from benchmarks.membership.readings import load, resident_bytes
from benchmarks.membership.real import REST, await_whole, kill_some, worst
from benchmarks.membership.table import Row, Table
from meshp2p.config import lan
from meshp2p.identity.keyfile import load_or_create_easy_key
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import Address, Seconds

_TURN: Final = 500
"""Datagrams of one kind before the next: long enough to overwhelm somebody."""
_HOW: Final = (
    "Each liar is a process that speaks the protocol with a valid credential, and seals and sends "
    "as fast as it can: forged records and accusations, true accusations of everybody again and "
    "again, digests, listings, requests to forward, garbage, recordings. Suspected: how often one "
    "of the honest was, by another of them, and the longest. Changed: records of the honest as "
    "others hold them. Memory: growth of the resident set of the honest while they are lied to. "
    "Silence: a process stands still (SIGSTOP), before the lies and while they are told; who does "
    "so is not counted among those declared dead or suspected."
)
_LONGEST_SILENCE: Final[Seconds] = 30.0
"""Whoever is silent for so long is dead to all, and back again; else the lies have helped it."""


def byzantine(
    size: int,
    seconds: Seconds,
    colluders: Sequence[int],
    kinds: Sequence[str] = (),
    *,
    deaths: int = 3,
    rest: Seconds = REST,
) -> Table:
    """So many honest ones, and for some time so many liars.

    Args:
        kinds: Of lies; all if none are named.
        deaths: Honest ones killed before, and again afterwards.
    """
    before = load()
    rows = [_lied_to(size, seconds, count, kinds, deaths, rest) for count in colluders]
    title = f"Liars among {size} honest nodes, for {seconds:g} s at full speed"
    notes = [_HOW, f"Machine before: {before}.", f"Machine after: {load()}."]
    return Table(title=title, config=lan(), rows=rows, notes=notes)


def _lied_to(
    size: int, seconds: Seconds, count: int, kinds: Sequence[str], deaths: int, rest: Seconds
) -> Row:
    mesh = Mesh(size)
    try:
        await_whole(mesh, mesh.begin(), rest)
        usual = kill_some(mesh, deaths, rest)
        silent = [_freeze(mesh, 1 + number % (size - 1), rest) for number in range(deaths)]
        memory, since = resident_bytes(mesh.pids), now()
        liars = _start_lying(mesh, seconds, count, kinds)
        frozen = _freeze_some(mesh, deaths, rest, until=since + seconds)
        said = sum(int(liar.communicate(timeout=seconds + BOOT)[0]) for liar in liars)
        grown = [
            after - begun for after, begun in zip(resident_bytes(mesh.pids), memory, strict=True)
        ]
        row = {"liars": count, "datagrams/s": round(said / seconds)}
        row |= _beliefs(mesh, since, but=set(frozen))
        time.sleep(rest)
        after = kill_some(mesh, deaths, rest)
    finally:
        mesh.close()
    return row | {
        "memory, most MB": round(max(grown) / 1e6, 1),
        "death known, s": _median(usual),
        "afterwards": _median(after),
        "silence known, s": _median(silent),
        "meanwhile": _median(list(frozen.values())),
    }


def _freeze_some(
    mesh: Mesh, deaths: int, rest: Seconds, *, until: Seconds
) -> dict[int, Seconds | None]:
    """One after the other, as long as the lies last: how long it took all others to know."""
    frozen: dict[int, Seconds | None] = {}
    for number in range(deaths):
        victim = 1 + number % (mesh.size - 1)
        if now() + _LONGEST_SILENCE + rest > until:
            break
        frozen[victim] = _freeze(mesh, victim, rest)
    return frozen


def _freeze(mesh: Mesh, victim: int, rest: Seconds) -> Seconds | None:
    """Let one stand still until the last of the others knows, and then go on."""
    at = mesh.freeze(victim)
    known = worst(mesh.known("dead", victim, at, _LONGEST_SILENCE))
    back = now()
    mesh.thaw(victim)
    mesh.known("back", victim, back, _LONGEST_SILENCE)
    time.sleep(rest)
    return known


def _median(times: Sequence[Seconds | None]) -> Seconds | None:
    known = [each for each in times if each is not None]
    return round(statistics.median(known), 3) if len(known) == len(times) else None


def _start_lying(
    mesh: Mesh, seconds: Seconds, count: int, kinds: Sequence[str]
) -> list[subprocess.Popen[bytes]]:
    """Let them begin; each prints how much it has said when it ends."""
    liars = []
    for number in range(count):
        given = {
            "handle": f"mallory{number}",
            "state": mesh.state,
            "host": mesh.host(mesh.size + number),
            "seeds": [mesh.host(each) for each in range(mesh.size)],
            "seconds": seconds,
            "kinds": list(kinds),
        }
        command = [sys.executable, "-m", __spec__.name, json.dumps(given)]
        liars.append(subprocess.Popen(command, stdout=subprocess.PIPE))  # noqa: S603  # this module
    return liars


def _beliefs(mesh: Mesh, since: Seconds, *, but: Collection[int]) -> Row:
    """What the honest believed of each other meanwhile, of some apart."""
    told = [
        [seen for seen in mesh.told(observer, since) if seen.other not in but]
        for observer in range(mesh.size)
        if observer not in but
    ]
    spells = [spell for seen in told for spell in _spells(seen)]
    words = [each.word for seen in told for each in seen]
    return {
        "declared dead": words.count("dead"),
        "changed": words.count("changed"),
        "suspected": len(spells),
        "longest, s": round(max(spells, default=0.0), 2),
    }


def _spells(seen: Sequence[Seen]) -> list[Seconds]:
    """For how long each suspicion of one observer lasted; until now if it has not ended."""
    begun: dict[int | None, Seconds] = {}
    spells = []
    for each in seen:
        if each.word == "suspect":
            begun[each.other] = each.at
        elif each.word in ("cleared", "dead") and each.other in begun:
            spells.append(each.at - begun.pop(each.other))
    return [*spells, *(now() - at for at in begun.values())]


# --- one liar -----------------------------------------------------------------------------


def _main(given: dict[str, Any]) -> None:
    easy_key = load_or_create_easy_key(Path(given["state"]))
    keys = MeshKeys.from_easy_key(easy_key, "default", OpenSSL())
    insider = Insider(keys, given["handle"], host=given["host"])
    for seed in given["seeds"]:
        insider.join(Address(seed, PORT))
    lies = Lies(insider)
    victims = [
        each for each, record in insider.others.items() if record.body.addresses[0].port == PORT
    ]
    said, ends = 0, time.monotonic() + given["seconds"]
    while time.monotonic() < ends:
        for kind in given["kinds"] or lies.kinds:
            lies.flood(victims, kind, _TURN, until=ends)
            said += _TURN
    for victim in victims * 3:
        insider.say(victim, [insider.farewell()])
    print(said)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
