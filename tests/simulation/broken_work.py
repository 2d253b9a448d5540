"""Promises about calls, auctions and votes, each broken by hand."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import attrs

from meshp2p.consensus import AwardData, AwardResult
from meshp2p.consensus.award import AWARD, RESULT, AwardNote, ResultNote
from meshp2p.consensus.ballot import BALLOT, CastBallot
from meshp2p.consensus.certificate import Certificate
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES
from meshp2p.consensus.envelope import sign as sign_statement
from meshp2p.consensus.epochs import AWARDS
from meshp2p.consensus.scoring import rank
from meshp2p.effects import Invoke, Persist, Record
from meshp2p.errors import DeadlineExceeded, NoBids, PeerLost
from meshp2p.events import CallFinished
from meshp2p.gossip.directory import Listed
from meshp2p.gossip.suspicion import Suspicion
from meshp2p.messaging.requests import make_head
from meshp2p.simulation import Handler, Node
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.handlers import Ran
from meshp2p.simulation.invariants import inside, look_at_rest
from meshp2p.transport import frame
from meshp2p.wire import codec
from meshp2p.wire.messages import ResponseHead, join_head
from tests.simulation.scene import Scene

_TASK = bytes(range(HASH_BYTES))


# --- what is signed -------------------------------------------------------------------------


def _ballot(scene: Scene, choice: int) -> bytes:
    identity = scene.bob.identity
    ballot = CastBallot(
        pid=_TASK, elector=identity.node_id, journal_id=identity.journal_id, choice=(choice,)
    )
    return ballot.sign(CheapCrypto(), identity.node_private, identity.keys.group_id)


def _award(scene: Scene, winner: Node, epoch: int = 1) -> bytes:
    identity = scene.bob.identity
    note = AwardNote(
        task_id=_TASK,
        epoch=epoch,
        owner=identity.node_id,
        winner=winner.id,
        price=0,
        score=0,
        announcement=_TASK,
        bid=_TASK,
        bids=_TASK,
        spec_hash=_TASK,
    )
    group_id = identity.keys.group_id
    return sign_statement(CheapCrypto(), identity.node_private, AWARD, group_id, note.to_fields())


def _votes_twice(scene: Scene) -> None:
    for choice in (0, 1):
        scene.verify(scene.bob, _ballot(scene, choice), BALLOT)


def _speaks_before_it_writes(scene: Scene) -> None:
    scene.verify(scene.bob, _ballot(scene, 0), BALLOT)


def _awards_twice(scene: Scene) -> None:
    for winner in (scene.alice, scene.carol):
        scene.verify(scene.bob, _award(scene, winner), AWARD)


def _awards_the_worst(scene: Scene) -> None:
    with scene.world.hold(scene.carol, scene.alice):
        scene.world.auction(scene.alice, "add", 1, 2)
        scene.world.run_for(0.1)
        (lot,) = inside.lots_of(scene.alice.engine)
        offer, identity = lot.announcement, scene.alice.identity
        score, worst = rank(list(lot.bids.values()), offer.policy, offer.task_id, offer.epoch)[-1]
        fields = lot.draft_award(1, score, worst).to_fields()
        keys = (identity.node_private, AWARD, identity.keys.group_id)
        row = codec.pack([FORMAT, 0, 1, sign_statement(CheapCrypto(), *keys, fields)])
        scene.ask_for(scene.alice, Persist(1, (Record(AWARDS, offer.task_id, row),)))


def _shows_bids_in_another_order(scene: Scene) -> None:
    pending = scene.world.auction(scene.alice, "add", 1, 2)
    scene.world.run_for(1.0)
    assert isinstance(pending.value, AwardData)
    told = attrs.evolve(pending.value, bids=pending.value.bids[::-1])
    scene.announce(scene.alice, CallFinished(pending.number, told))


def _leaves_a_bid_out(scene: Scene) -> None:
    pending = scene.world.auction(scene.alice, "add", 1, 2)
    scene.world.run_for(1.0)
    assert isinstance(pending.value, AwardData)
    part = attrs.evolve(pending.value.transcript, bids=pending.value.transcript.bids[1:])
    told = attrs.evolve(pending.value, transcript=part)
    scene.announce(scene.alice, CallFinished(pending.number, told))


def _forges_an_acceptance(scene: Scene) -> None:
    pending = scene.world.auction(scene.alice, "add", 1, 2)
    scene.world.run_for(1.0)
    assert isinstance(pending.value, AwardData)
    acceptance = pending.value.transcript.acceptance[:-1] + b"?"
    forged = attrs.evolve(pending.value.transcript, acceptance=acceptance)
    scene.announce(
        scene.alice, CallFinished(pending.number, attrs.evolve(pending.value, transcript=forged))
    )


def _write_award(scene: Scene, epoch: int) -> None:
    row = codec.pack([FORMAT, 1, epoch, _award(scene, scene.alice, epoch)])
    scene.ask_for(scene.bob, Persist(1, (Record(AWARDS, _TASK, row),)))


def _counts_down(scene: Scene) -> None:
    for epoch in (2, 1):
        _write_award(scene, epoch)


def _works_for_nobody(scene: Scene) -> None:
    job = _ran(scene, "charge")
    assert job.head is not None
    _write_award(scene, 1)
    head = attrs.evolve(job.head, key=_TASK.hex())
    scene.begin(scene.alice, attrs.evolve(job, token=1, head=head))  # as bob has awarded
    scene.begin(scene.carol, attrs.evolve(job, token=1, head=head))


def _tells_a_stranger(scene: Scene) -> None:
    _write_award(scene, 1)
    scene.world.byzantine.add("carol")
    _tell_result(scene, scene.bob)
    _tell_result(scene, scene.carol)


def _tell_result(scene: Scene, reader: Node) -> None:
    """As if alice, who did bob's work, had answered a claim."""
    identity = scene.alice.identity
    note = ResultNote(task_id=_TASK, epoch=1, worker=scene.alice.id, status=0, result=_TASK)
    keys = (identity.node_private, RESULT, identity.keys.group_id)
    answer = codec.pack([sign_statement(CheapCrypto(), *keys, note.to_fields()), b""])
    data = join_head(ResponseHead(0, started=True).packed(), codec.pack([0, answer]))
    for told in scene.watched[0].lookout.ears.on_read:
        told(reader.id, scene.alice.id, frame.pack(frame.DATA | frame.END, 1, data))


# --- work -------------------------------------------------------------------------------------


def _ran(scene: Scene, method: str, *, left: float = 1.0, hops: int = 1) -> Ran:
    head = make_head(Random(1), method, remaining=left, cause=None, own_id=scene.bob.id, key="key")
    now = scene.alice.now
    head = attrs.evolve(head, call_id=bytes(16), hops=hops)
    return Ran(method, now, now + left, scene.bob.id, head.call_id, b"", 0, head)


def _takes_a_result_of_nothing(scene: Scene) -> None:
    result = AwardResult(body=b"", winner=scene.bob.id, epoch=1)
    scene.announce(scene.alice, CallFinished(4711, result))


def _runs_twice_with_a_token(scene: Scene) -> None:
    job = attrs.evolve(_ran(scene, "charge"), token=1)
    assert job.head is not None
    job = attrs.evolve(job, head=attrs.evolve(job.head, key=_TASK.hex()))
    for node in (scene.alice, scene.carol):
        scene.begin(node, job)


def _runs_twice(scene: Scene) -> None:
    for node in (scene.alice, scene.carol):
        scene.begin(node, _ran(scene, "charge"))


def _runs_a_key_twice(scene: Scene) -> None:
    head = _ran(scene, "charge").head
    for number in (1, 2):
        invoke = Invoke(number, "charge", b"", 0.0, scene.bob.id, "bob", head)
        scene.ask_for(scene.alice, invoke)


def _denies_that_it_ran(scene: Scene) -> None:
    with scene.world.cut(scene.bob, scene.alice, both=False):
        call = scene.alice.call("@bob/charge", 7)
        scene.world.run_for(0.1)
        scene.announce(
            scene.alice, CallFinished(call.number, error=DeadlineExceeded("@bob/charge", 0.1))
        )


def _works_for_the_gone(scene: Scene) -> None:
    scene.begin(scene.alice, _ran(scene, "charge", left=1.0))
    scene.begin(scene.carol, _ran(scene, "add", left=5.0, hops=2))


def _lets_others_work_for_nothing(scene: Scene) -> None:
    slow = {"slow": Handler(function=lambda n: n, takes=2.0)}
    scene.world.join("dave", handlers=slow)
    call = scene.alice.call("slow", 1)
    scene.world.run_for(0.1)
    scene.alice.engine._calls._errands.clear()  # noqa: SLF001  # it forgets whom it asked
    scene.alice.cancel(call)
    scene.world.run_for(0.1)


def _gives_up_too_early(scene: Scene) -> None:
    with scene.world.hold(scene.bob, scene.alice), scene.world.hold(scene.carol, scene.alice):
        call = scene.alice.call("charge", 1)
        scene.alice.feed(lambda _engine, _now: None)
        error = PeerLost("bob", "nobody knows", maybe_executed=False)
        scene.announce(scene.alice, CallFinished(call.number, error=error))


def _forgets_who_bid(scene: Scene) -> None:
    pending = scene.world.auction(scene.alice, "add", 1, 2)
    with scene.world.hold(scene.bob, scene.alice):
        scene.world.run_for(0.1)
    error = NoBids("add", 3, 2)
    scene.announce(scene.alice, CallFinished(pending.number, error=error))


def _asks_one_of_two(scene: Scene) -> None:
    pending = scene.world.auction(scene.alice, "add", 1, 2)
    scene.world.run_for(0.6)
    error = PeerLost("bob", "and nobody is left who bid", maybe_executed=True)
    scene.announce(scene.alice, CallFinished(pending.number, error=error))


def _ends_twice(scene: Scene) -> None:
    for _ in range(2):
        scene.announce(scene.alice, CallFinished(4711))


def _ends_in_no_known_way(scene: Scene) -> None:
    scene.announce(scene.alice, CallFinished(4711, error=RuntimeError("lost")))


def _waits_beyond_its_deadline(scene: Scene) -> None:
    with scene.world.hold(scene.alice, scene.bob):
        scene.alice.call("@bob", 1, timeout=20.0)
        for request in inside.open_requests_of(scene.alice.engine):
            request.deadline = scene.alice.now
        scene.world.run_for(5.0)


def _chooses_one_that_drains(scene: Scene) -> None:
    scene.bob.feed(lambda engine, now: engine.drain(draining=True, now=now))
    scene.world.run_for(2.0)
    with scene.world.hold(scene.alice, scene.bob):
        scene.alice.call("charge", 7)
        for request in inside.open_requests_of(scene.alice.engine):
            request.peer, request.tries = scene.bob.id, request.tries + 1
        scene.alice.feed(lambda _engine, _now: None)


def _lists_one_that_drains(scene: Scene) -> None:
    healthy = Listed.of(scene.row(scene.alice, scene.bob))
    scene.bob.feed(lambda engine, now: engine.drain(draining=True, now=now))
    scene.world.run_for(2.0)
    row, lookout = scene.row(scene.alice, scene.bob), scene.watched[0].lookout
    inside.view_of(scene.alice.engine).directory.update(Listed.of(row), healthy)
    row.suspicion = Suspicion.of(scene.carol.id, scene.alice.config, 3, scene.alice.now)
    lookout.read(lookout.outlook(scene.alice))


def _passes_over_one_that_takes_calls(scene: Scene) -> None:
    listed = Listed.of(scene.row(scene.alice, scene.bob))
    inside.view_of(scene.alice.engine).directory.remove(listed)
    look_at_rest(scene.watched)


# --- votes ----------------------------------------------------------------------------------------


def _decides_twice(scene: Scene) -> None:
    other = attrs.evolve(scene.vote(), choice="no")
    scene.announce(scene.alice, CallFinished(4711, other))


def _counts_too_few(scene: Scene) -> None:
    result = scene.vote()
    whole = result.certificate
    part = Certificate.assemble(whole.group_id, whole.call, whole.ballots[:1])
    scene.announce(scene.alice, CallFinished(4711, attrs.evolve(result, certificate=part)))


BROKEN_WORK: list[tuple[str, Callable[[Scene], None]]] = [
    ("V3", _votes_twice),
    ("disk-first", _speaks_before_it_writes),
    ("A0", _awards_the_worst),
    ("A0", _shows_bids_in_another_order),
    ("A0", _leaves_a_bid_out),
    ("A9", _forges_an_acceptance),
    ("awarded", _works_for_nobody),
    ("owed", _tells_a_stranger),
    ("A1", _awards_twice),
    ("A2", _counts_down),
    ("A3", _takes_a_result_of_nothing),
    ("A6", _runs_twice_with_a_token),
    ("at-most-once", _runs_twice),
    ("once-per-key", _runs_a_key_twice),
    ("doubt", _denies_that_it_ran),
    ("deadline", _works_for_the_gone),
    ("gives-up", _lets_others_work_for_nothing),
    ("tries-on", _gives_up_too_early),
    ("next-best", _forgets_who_bid),
    ("next-best", _asks_one_of_two),
    ("takers", _chooses_one_that_drains),
    ("takers", _lists_one_that_drains),
    ("takers", _passes_over_one_that_takes_calls),
    ("ends-once", _ends_twice),
    ("ends-once", _ends_in_no_known_way),
    ("ends-once", _waits_beyond_its_deadline),
    ("V1", _decides_twice),
    ("V2", _counts_too_few),
    ("V5", _decides_twice),
]
