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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.membership.insider import Insider
from benchmarks.membership.lies import Lies
from benchmarks.membership.mesh import BOOT, PORT, Mesh, Seen, now
from benchmarks.membership.readings import load, resident_bytes
from benchmarks.membership.real import REST, await_whole, kill_some
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
    "others hold them. Memory: growth of the resident set of the honest while they are lied to."
)


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
        memory, since = resident_bytes(mesh.pids), now()
        said = _lie(mesh, seconds, count, kinds)
        grown = [
            after - begun for after, begun in zip(resident_bytes(mesh.pids), memory, strict=True)
        ]
        row = {"liars": count, "datagrams/s": round(said / seconds), **_beliefs(mesh, since)}
        time.sleep(rest)
        after = kill_some(mesh, deaths, rest)
    finally:
        mesh.close()
    return row | {
        "memory, most MB": round(max(grown) / 1e6, 1),
        "death known, s": _median(usual),
        "afterwards": _median(after),
    }


def _median(times: Sequence[Seconds | None]) -> Seconds | None:
    known = [each for each in times if each is not None]
    return round(statistics.median(known), 3) if len(known) == len(times) else None


def _lie(mesh: Mesh, seconds: Seconds, count: int, kinds: Sequence[str]) -> int:
    """Let them lie; how much they said."""
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
    told = [liar.communicate(timeout=seconds + BOOT)[0] for liar in liars]
    return sum(int(each) for each in told)


def _beliefs(mesh: Mesh, since: Seconds) -> Row:
    """What the honest believed of each other meanwhile."""
    spells = [
        spell for observer in range(mesh.size) for spell in _spells(mesh.told(observer, since))
    ]
    return {
        "declared dead": mesh.count("dead", since),
        "changed": mesh.count("changed", since),
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
