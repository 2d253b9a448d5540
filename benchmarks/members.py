"""`members("x.*")` among 10,000: no message, no walk over all. Medians, and the worst of 100.

python -m benchmarks.members [--members 10000]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final

from meshp2p.engine import Engine
from meshp2p.events import CapabilityInfo, Member
from meshp2p.gossip.member import Row
from meshp2p.gossip.record import UP, Body, Record, VersionLine, body_hash
from meshp2p.gossip.wanted import Wanted
from meshp2p.identity.keys import node_id_of
from meshp2p.ids import Address, NodeId
from meshp2p.simulation import World
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.invariants import inside

_CRYPTO: Final = CheapCrypto()
_GROUPS: Final = {1: "lone", 10: "few", 100: "some", 1_000: "many"}
"""So many members offer `few.a` and so on."""
_ROUNDS: Final = 100
_REPEATS: Final = 10


def engine_with(members: int) -> Engine:
    """An engine that lists so many members."""
    world = World(1)
    alice = world.start("alice")
    world.run_for(1.0)
    view = inside.view_of(alice.engine)
    credential = next(iter(view)).record.credential
    for number in range(members):
        private = number.to_bytes(32, "big")
        capabilities = tuple(
            CapabilityInfo(f"{name}.{'ab'[number % 2]}")
            for size, name in _GROUPS.items()
            if number < size
        )
        body = Body(
            node_key=_CRYPTO.signing_public(private),
            transport_key=bytes(32),
            journal_id=bytes(16),
            addresses=(Address("10.0.0.1", 6374),),
            handle=f"agent-{number}",
            role="worker",
            namespace="default",
            capabilities=(*capabilities, CapabilityInfo(f"own.{number}")),
        )
        raw = body.encode()
        line = VersionLine.signed(
            _CRYPTO,
            private,
            bytes(16),
            node_id=NodeId(node_id_of(body.node_key)),
            body_hash=body_hash(raw),
            epoch=1,
            seq=0,
            state=UP,
            valid_until=1 << 32,
        )
        record = Record(line=line, body=body, body_raw=raw, chain=b"", credential=credential)
        view.add(Row(record=record, state="alive", joined_at=0.0, last_seen=0.0))
    return alice.engine


def microseconds(ask: Callable[[], list[Member]]) -> list[float]:
    """How long one question takes, of process time, in each of many rounds."""
    times = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_REPEATS):
            ask()
        times.append((time.process_time() - began) / _REPEATS * 1e6)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=10_000)
    count = parser.parse_args().members
    began = time.process_time()
    engine = engine_with(count)
    print(f"{count} members listed in {time.process_time() - began:.1f} s of CPU")
    print(f"{'question':<32}{'answers':>8}{'median us':>12}{'worst us':>12}")
    questions = {f'members("{name}.*")': Wanted(pattern=f"{name}.*") for name in _GROUPS.values()}
    questions['members("few.a")'] = Wanted(pattern="few.a")
    questions['members(handle="agent-7")'] = Wanted(handle="agent-7")
    questions['members("nobody.*")'] = Wanted(pattern="nobody.*")
    for text, wanted in questions.items():
        times = microseconds(lambda wanted=wanted: engine.members(wanted))  # type: ignore[misc]  # bound at once
        found = len(engine.members(wanted))
        print(f"{text:<32}{found:>8}{statistics.median(times):>12.1f}{max(times):>12.1f}")


if __name__ == "__main__":
    main()
