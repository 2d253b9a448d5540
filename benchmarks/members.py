"""One node among thousands: what it takes to learn of them all, to hold them, and to ask for some.

python -m benchmarks.members [--members 2000 10000]

The members' records are truly signed, and checked as they are in a join. What one takes is told
twice: in objects that are in use afterwards, counted in a run of its own, and by how much the
process has grown, which includes what it has used meanwhile and may use again. `members("x.*")`
sends no message and does not walk over all; medians, and the worst of 100.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Final

import attrs

from benchmarks.simulation import resident
from meshp2p.config import lan
from meshp2p.engine import Engine
from meshp2p.events import CapabilityInfo, Member
from meshp2p.gossip.member import Row
from meshp2p.gossip.record import UP, Body, Record, VersionLine, body_hash
from meshp2p.gossip.wanted import Wanted
from meshp2p.identity.keys import Crypto, OpenSSL, node_id_of
from meshp2p.ids import Address, NodeId
from meshp2p.simulation import World
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.nodes import Node as SimulatedNode

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


@attrs.frozen
class Learnt:
    """What a join of so many costs the newcomer, without the network.

    Args:
        cpu: Seconds of process time until all signatures are checked.
        slowest: Seconds of the longest input: so long an answer to a probe may wait.
        memory: Bytes that one member takes, of objects if they were traced, else of the process.
    """

    members: int
    cpu: float
    slowest: float
    memory: float


def learn(members: int, *, crypto: Crypto | None = None, traced: bool = False) -> Learnt:
    """Hand a newcomer the signed records of so many others."""
    world = World(1, lan(), crypto=crypto or OpenSSL())
    names = [f"agent-{number}" for number in range(members)]
    records = [_record_of(world.start(name, seeds=())) for name in names]
    alice = world.start("alice", seeds=()).engine
    world.crash(world["alice"])
    swim, now = inside.swim_of(alice), world.now
    gc.collect()
    measure = _traced if traced else resident
    before, began, times = measure(), time.process_time(), [0.0]
    # Each in bytes of its own, as the network brings them.
    swim.merge_untrusted(
        [[bytes(bytearray(each)) for each in one] for one in records], None, now=now
    )
    while len(inside.view_of(alice)) <= members:
        now, start = swim.next_deadline(), time.process_time()
        swim.receive_deadline(now=now)
        swim.outputs()
        times.append(time.process_time() - start)
    took = time.process_time() - began
    gc.collect()
    grown = measure() - before
    tracemalloc.stop()
    return Learnt(members, took, max(times), grown / members)


def _traced() -> int:
    tracemalloc.start()
    return tracemalloc.get_traced_memory()[0]


def _record_of(node: SimulatedNode) -> list[bytes]:
    record = inside.swim_of(node.engine).own_record()
    if record is None:
        raise AssertionError("not a guest")
    return record.wire()


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
    parser.add_argument("--members", type=int, nargs="+", default=[2_000, 10_000])
    counts = parser.parse_args().members
    learn(100)  # what is made once is no member's
    for count in counts:
        learnt, held = learn(count), learn(count, traced=True)
        print(
            f"{count} signed records learnt in {learnt.cpu:.1f} s of CPU"
            f" ({learnt.cpu / count * 1e3:.2f} ms each), the longest slice"
            f" {learnt.slowest * 1e3:.1f} ms; {held.memory / 1024:.2f} KiB each,"
            f" the process has grown by {learnt.memory / 1024:.2f}"
        )
    engine = engine_with(max(counts))
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
