"""What is kept of what speaks for and against members."""

from __future__ import annotations

from meshp2p.gossip.evidence import EvidenceLog
from meshp2p.ids import NodeId
from meshp2p.wire import limits
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import accusation, id_of, line_of

BOB = swim_of("bob").members()[0]


def kinds(log: EvidenceLog, member: NodeId = BOB.id) -> list[str]:
    """What was noted of somebody, oldest first."""
    subject = BOB if member == BOB.id else None
    assert subject is not None
    return [clue.kind for clue in log.why(subject, {}, UNIX).clues]


def test_a_member_that_answers_costs_nothing() -> None:
    """Probes that were answered are noted only of those against whom something speaks."""
    log = EvidenceLog()
    for _ in range(100):
        log.note(BOB.id, "answered", rtt=0.01)
    assert len(log) == 0
    assert str(log.why(BOB, {}, UNIX)).endswith("nothing speaks against it")

    log.note(BOB.id, "silent", "no ack within 0.5 s")
    log.note(BOB.id, "answered", rtt=0.01)
    assert kinds(log) == ["silent", "answered"]


def test_the_same_again_is_counted_not_kept() -> None:
    """So that a hundred answers do not push out the one accusation."""
    log = EvidenceLog(now=1.0)
    log.accused(accusation("carol", line_of(swim_of("bob"))))
    for number in range(100):
        log.now = 2.0 + number
        log.note(BOB.id, "answered", rtt=0.001 * number)

    _, last = log.why(BOB, {}, UNIX).clues

    assert (last.times, last.first_at, last.at) == (100, 2.0, 101.0)
    assert last.rtt == 0.099
    assert str(last) == "answered, after 99.0 ms, 100 times"


def test_an_accusation_keeps_who_when_and_the_signed_bytes() -> None:
    """Anybody can check it."""
    log = EvidenceLog(now=START)
    said = accusation("carol", line_of(swim_of("bob")), evidence=1)
    log.accused(said)

    why = log.why(BOB, {id_of("carol"): "carol"}, UNIX + START)

    (clue,) = why.clues
    assert (clue.by, clue.by_name, clue.unix) == (id_of("carol"), "carol", said.unix)
    assert clue.statement == said.raw
    assert clue.text == "its machine refuses packets to it"
    assert why.accusers == (id_of("carol"),)


def test_memory_is_bounded_for_each_member_and_for_all() -> None:
    """The oldest clue goes, and the member that was quiet longest."""
    log = EvidenceLog()
    for number in range(50):
        log.note(BOB.id, "silent", f"probe {number}")
    clues = log.why(BOB, {}, UNIX).clues
    assert len(clues) == limits.MAX_CLUES
    assert clues[-1].text == "probe 49"

    for number in range(limits.MAX_CASES):
        log.note(NodeId(number.to_bytes(16, "big")), "silent")
    assert len(log) == limits.MAX_CASES
    assert log.why(BOB, {}, UNIX).clues == ()
    for number in range(100):
        log.now = float(number)
        log.stalled(1.0)
    assert len(log.stalls) == limits.MAX_CLUES


def test_since_when_is_the_last_decision() -> None:
    """Probes and accusations change no state."""
    log = EvidenceLog()
    for log.now, kind in ((10.0, "suspected"), (12.0, "acquitted"), (15.0, "silent")):
        log.note(BOB.id, kind)  # type: ignore[arg-type]  # literals in a tuple

    log.now = 20.0
    why = log.why(BOB, {}, UNIX)

    assert why.since == 12.0
    assert "is alive since 8.0 s" in why.summary


def test_own_stalls_stand_among_the_clues_in_their_order() -> None:
    """Who reads why somebody was suspected sees that the watcher itself stood still."""
    log = EvidenceLog(now=START + 1.0)
    log.stalled(0.5)
    assert str(log.why(BOB, {}, UNIX)).endswith("nothing speaks against it")
    log.now = START + 60.0
    log.note(BOB.id, "silent")
    log.now = START + 62.0
    log.stalled(0.75)
    log.now = START + 63.0
    log.note(BOB.id, "suspected", "it did not answer")

    lines = str(log.why(BOB, {}, UNIX)).splitlines()[1:]

    assert len(log.why(BOB, {}, UNIX).stalls) == 2
    assert [line.split("ago  ")[1] for line in lines] == [
        "silent",
        "this node stood still for 0.75 s",
        "suspected: it did not answer",
    ]
