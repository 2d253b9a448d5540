"""Each promise of the protocol, and a way to break it by hand."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from meshp2p.effects import SendDatagram
from meshp2p.events import CapabilityInfo, Cut
from meshp2p.gossip.accusation import DOMAIN, TIMEOUT, Accusation
from meshp2p.gossip.directory import Listed
from meshp2p.gossip.messages import PING
from meshp2p.gossip.record import VersionLine, body_hash
from meshp2p.gossip.suspicion import Suspicion
from meshp2p.identity.keys import SIGNATURE_BYTES
from meshp2p.identity.node import NODE_LIFE
from meshp2p.identity.trust import verify_chain
from meshp2p.ids import Address, NodeId
from meshp2p.simulation import Handler, Node, World
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.invariants import inside, look_at_rest
from meshp2p.simulation.invariants.overheard import Overheard
from meshp2p.transport.packet import INIT, pack_data_header
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value
from tests.simulation.broken_work import BROKEN_WORK
from tests.simulation.scene import Scene
from tests.simulation.trespassing import TRESPASSES

# --- what a node believes of others ---------------------------------------------------


def _goes_back(scene: Scene) -> None:
    old = scene.row(scene.alice, scene.bob).record
    scene.bob.feed(lambda engine, now: engine.set_capabilities([CapabilityInfo("gpu")], now=now))
    scene.world.run_for(1.0)
    scene.believe(scene.alice, scene.bob, record=old)


def _forgets_a_tombstone(scene: Scene) -> None:
    scene.world.crash(scene.carol)
    scene.world.run_for(5.0)
    inside.view_of(scene.alice.engine).forget(scene.row(scene.alice, scene.carol))
    scene.alice.feed(lambda _engine, _now: None)


def _raises_the_dead(scene: Scene) -> None:
    scene.world.crash(scene.carol)
    scene.world.run_for(5.0)
    scene.believe(scene.alice, scene.carol, state="alive")


def _believes_a_forgery(scene: Scene) -> None:
    record = scene.row(scene.alice, scene.bob).record
    forged = attrs.evolve(record.line, raw=record.line.raw[:-1] + b"?")
    scene.believe(scene.alice, scene.bob, record=attrs.evolve(record, line=forged))


def _believes_a_credential_that_nobody_issued(scene: Scene) -> None:
    stranger = World(seed=8)  # of another mesh, whose name and members' names are the same
    (bob,) = stranger.join("bob")
    chain = bob.identity.chain
    record = scene.row(scene.alice, scene.bob).record
    scene.believe(scene.alice, scene.bob, record=attrs.evolve(record, chain=chain))


def _believes_a_credential_of_yesterday(scene: Scene) -> None:
    _believes_a_credential_of(scene, scene.world.unix - 2 * NODE_LIFE)


def _believes_a_credential_of_tomorrow(scene: Scene) -> None:
    _believes_a_credential_of(scene, scene.world.unix + NODE_LIFE)


def _believes_a_credential_of(scene: Scene, unix: float) -> None:
    record = scene.row(scene.alice, scene.bob).record
    chain = scene.bob.origins.identity(7, 1, unix).chain
    root = scene.bob.keys.root_public
    credential = verify_chain(CheapCrypto(), chain, root_public=root, at=unix)
    changed = attrs.evolve(record, chain=chain, credential=credential)
    scene.believe(scene.alice, scene.bob, record=changed)


def _stretches_a_credential(scene: Scene) -> None:
    record = scene.row(scene.alice, scene.bob).record
    longer = attrs.evolve(record.credential, not_after=record.credential.not_after + 1)
    scene.believe(scene.alice, scene.bob, record=attrs.evolve(record, credential=longer))


def _stretches_a_lease(scene: Scene) -> None:
    record = scene.row(scene.alice, scene.bob).record
    longer = attrs.evolve(record.line, valid_until=record.line.valid_until + 1)
    scene.believe(scene.alice, scene.bob, record=attrs.evolve(record, line=longer))


def _believes_an_old_line(scene: Scene) -> None:
    _believes_a_line_until(scene, 0)


def _believes_a_line_for_ever(scene: Scene) -> None:
    _believes_a_line_until(scene, 4_000_000_000)


def _believes_a_line_until(scene: Scene, unix: int) -> None:
    record = scene.row(scene.alice, scene.bob).record
    newer = attrs.evolve(record.line, seq=record.line.seq + 1, valid_until=unix)
    line = _signed(scene.bob, newer)
    scene.believe(scene.alice, scene.bob, record=attrs.evolve(record, line=line))


def _signed(owner: Node, line: VersionLine) -> VersionLine:
    return VersionLine.signed(
        CheapCrypto(),
        owner.identity.node_private,
        owner.keys.group_id,
        node_id=line.node_id,
        body_hash=line.body_hash,
        epoch=line.epoch,
        seq=line.seq,
        state=line.state,
        valid_until=line.valid_until,
    )


def _says_two_things(scene: Scene) -> None:
    record = scene.row(scene.alice, scene.bob).record
    body = attrs.evolve(record.body, handle="robert")
    line = _signed(scene.bob, attrs.evolve(record.line, body_hash=body_hash(body.encode())))
    other = attrs.evolve(record, line=line, body=body, body_raw=body.encode())
    scene.watched[0].lookout.outlook(scene.carol).glimpses.pop(scene.bob.id)
    scene.believe(scene.carol, scene.bob, record=other)


def _doubts_itself(scene: Scene) -> None:
    scene.believe(scene.alice, scene.alice, state="suspect")


def _suspects_without_a_countdown(scene: Scene) -> None:
    scene.believe(scene.alice, scene.bob, state="suspect")


def _keeps_a_countdown(scene: Scene) -> None:
    row = scene.row(scene.alice, scene.bob)
    row.suspicion = Suspicion.of(scene.alice.id, scene.alice.config, 3, scene.alice.now)
    scene.believe(scene.alice, scene.bob, state="suspect")
    newer = attrs.evolve(row.record, line=attrs.evolve(row.record.line, seq=9))
    scene.believe(scene.alice, scene.bob, record=newer)


# --- who is declared dead ---------------------------------------------------------------


def _buries_the_living(scene: Scene) -> None:
    scene.tell_of(scene.alice, scene.bob, "member.failed", "dead")


def _does_not_object(scene: Scene) -> None:
    accusation = Accusation.signed(
        CheapCrypto(),
        scene.bob.identity.node_private,
        scene.bob.keys.group_id,
        subject=scene.alice.id,
        version=scene.row(scene.alice, scene.alice).version,
        accuser=scene.bob.id,
        unix=0,
        evidence=TIMEOUT,
    )
    data = DOMAIN + scene.bob.keys.group_id + accusation.raw[:-SIGNATURE_BYTES]
    for told in scene.watched[0].lookout.ears.on_belief:
        told(scene.alice.id, scene.bob.identity.node_public, data)
    scene.world.run_for(3.0)


def _accuses_after_a_stall(scene: Scene) -> None:
    scene.alice.pause()
    scene.world.run_for(3.0)
    scene.alice.resume()
    row = scene.row(scene.alice, scene.bob)
    row.suspicion = Suspicion.of(scene.alice.id, scene.alice.config, 3, scene.alice.now)
    scene.tell_of(scene.alice, scene.bob, "member.suspected", "suspect")


def _does_not_notice_silence(scene: Scene) -> None:
    row = scene.row(scene.alice, scene.bob)

    def deny() -> None:
        if row.state != "alive":
            row.suspicion = None
            inside.view_of(scene.alice.engine).change(row, state="alive")

    scene.world.after_each.append(deny)
    scene.world.crash(scene.bob, silent=True)
    scene.world.run_for(30.0)


# --- sizes, events, time ------------------------------------------------------------------


def _sends_too_much(scene: Scene) -> None:
    data = bytes(limits.MAX_DATAGRAM + 1)
    scene.ask_for(scene.alice, SendDatagram(scene.bob.address, data))


def _sends_noise(scene: Scene) -> None:
    scene.ask_for(scene.alice, SendDatagram(scene.bob.address, bytes(100)))


def _seals(scene: Scene, items: list[Value]) -> None:
    ears = scene.watched[0].lookout.ears
    cipher = Overheard(CheapCrypto(), scene.alice.id, ears).aead(bytes(32))
    cipher.seal(bytes(12), codec.pack(items), pack_data_header(7, 0))


def _seals_noise(scene: Scene) -> None:
    _seals(scene, [[PING, 0, b"too short", 0]])


def _seals_what_nobody_knows(scene: Scene) -> None:
    _seals(scene, [[99, 0]])


def _answers_a_stranger_at_length(scene: Scene) -> None:
    stranger = Address("203.0.113.1", 6374)
    for look in scene.world.on_arrival:
        look(scene.alice, stranger, bytes([INIT]) + bytes(99))
    for _ in range(2):
        scene.ask_for(scene.alice, SendDatagram(stranger, pack_data_header(7, 0) + bytes(60)))


def _remembers_too_much(scene: Scene) -> None:
    row = scene.row(scene.alice, scene.bob)
    for number in range(limits.MAX_SUSPICIONS + 2):
        row.hear(NodeId(bytes([number]) * 16), 0)
    scene.world.run_for(2.0)


def _waits_for_ever(scene: Scene) -> None:
    scene.world.run_until(lambda: any(inside.probes_of(scene.alice.engine)))
    for probe in inside.probes_of(scene.alice.engine):
        probe.sent_at = 0.0
    lookout = scene.watched[0].lookout
    for told in lookout.on_look:
        told(lookout.outlook(scene.alice))


def _hears_of_two_births(scene: Scene) -> None:
    scene.tell_of(scene.alice, scene.bob, "member.joined", "alive")


def _tells_something_else(scene: Scene) -> None:
    scene.tell_of(scene.alice, scene.bob, "member.left", "left")
    look_at_rest(scene.watched)


def _hides_a_change(scene: Scene) -> None:
    scene.tell_of(scene.alice, scene.bob, "member.failed", "dead")
    scene.tell_of(scene.alice, scene.bob, "member.returned", "alive")
    view = inside.view_of(scene.alice.engine)
    scene.announce(scene.alice, Cut((), view.hash, view.population))


def _names_another_list(scene: Scene) -> None:
    view = inside.view_of(scene.alice.engine)
    scene.announce(scene.alice, Cut((), view.hash + 1, view.population))


def _keeps_a_batch(scene: Scene) -> None:
    scene.tell_of(scene.alice, scene.bob, "member.updated", "alive")
    scene.world.run_for(30.0)
    look_at_rest(scene.watched)


def _is_busy_for_ever(scene: Scene) -> None:
    for _ in range(20_001):
        scene.alice.feed(lambda _engine, _now: None)


def _reads_a_replay(scene: Scene) -> None:
    ears = scene.watched[0].lookout.ears
    cipher = Overheard(CheapCrypto(), scene.alice.id, ears).aead(bytes(32))
    sealed = cipher.seal(bytes(12), b"hello", None)
    for _ in range(2):
        cipher.open(bytes(12), sealed, None)


def _reuses_a_nonce(scene: Scene) -> None:
    ears = scene.watched[0].lookout.ears
    for text in (b"hello", b"goodbye"):
        Overheard(CheapCrypto(), scene.alice.id, ears).aead(bytes(32)).seal(bytes(12), text, None)


# --- in the calm ----------------------------------------------------------------------------------


def _stays_apart(scene: Scene) -> None:
    scene.world.cut(scene.alice, [scene.bob, scene.carol])
    scene.world.run_for(10.0)
    look_at_rest(scene.watched)


def _adds_up_wrongly(scene: Scene) -> None:
    for node in (scene.alice, scene.bob, scene.carol):
        inside.view_of(node.engine).hash += 1
    look_at_rest(scene.watched)


def _does_not_find_what_is_there(scene: Scene) -> None:
    listed = Listed.of(scene.row(scene.alice, scene.bob))
    inside.view_of(scene.alice.engine).directory.remove(listed)
    look_at_rest(scene.watched)


def _is_of_no_use(scene: Scene) -> None:
    scene.bob.engine.listen(listens=False)
    look_at_rest(scene.watched)


def _never_finishes(scene: Scene) -> None:
    scene.world.join("dave", handlers={"slow": Handler(function=lambda n: n, takes=90.0)})
    scene.alice.call("slow", 1, timeout=100.0)
    scene.world.run_for(0.1)
    look_at_rest(scene.watched)


BREAKS: list[tuple[str, Callable[[Scene], None]]] = [
    ("I1", _goes_back),
    ("I1", _forgets_a_tombstone),
    ("I2", _raises_the_dead),
    ("I3", _believes_a_forgery),
    ("I3", _believes_a_credential_that_nobody_issued),
    ("I3", _believes_a_credential_of_yesterday),
    ("I3", _believes_a_credential_of_tomorrow),
    ("I3", _stretches_a_credential),
    ("I3", _stretches_a_lease),
    ("I3", _believes_an_old_line),
    ("I3", _believes_a_line_for_ever),
    ("I4", _says_two_things),
    ("I5", _buries_the_living),
    ("refutes", _does_not_object),
    ("I6", _doubts_itself),
    ("I7", _suspects_without_a_countdown),
    ("I7", _keeps_a_countdown),
    ("I8", _accuses_after_a_stall),
    ("I9", _sends_too_much),
    ("I9", _sends_noise),
    ("I9", _seals_noise),
    ("I9", _seals_what_nobody_knows),
    ("reflects", _answers_a_stranger_at_length),
    ("I10", _remembers_too_much),
    ("probes-end", _waits_for_ever),
    ("I11", _hears_of_two_births),
    ("I11", _tells_something_else),
    ("batches", _hides_a_change),
    ("batches", _names_another_list),
    ("batches", _keeps_a_batch),
    ("L2", _does_not_notice_silence),
    ("deadlines", _is_busy_for_ever),
    ("nonce", _reads_a_replay),
    ("nonce", _reuses_a_nonce),
    *BROKEN_WORK,
    ("L1", _stays_apart),
    ("L1", _adds_up_wrongly),
    ("L1", _does_not_find_what_is_there),
    ("useful", _is_of_no_use),
    ("useful", _never_finishes),
    *TRESPASSES,
]
