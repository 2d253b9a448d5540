"""What one node does with time, probes and evidence."""

from __future__ import annotations

from math import inf

import pytest

from meshp2p.config import lan
from meshp2p.events import CapabilityInfo, MemberEvent, Synced
from meshp2p.gossip.messages import (
    MAX_TUNNELLED,
    Ack,
    LineItem,
    Ping,
    RecordItem,
    SuspicionItem,
    decode_untrusted,
)
from meshp2p.gossip.outputs import IndirectProbe, Output, Pull, SendPlain, SyncWith, Tell
from meshp2p.gossip.record import DRAINING, LEFT
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId
from tests.simulation.swim_world import START, UNIX, swim_of
from tests.unit.gossip.people import (
    accusation,
    accuse,
    ack,
    acquaint,
    datagram,
    events,
    id_of,
    line_of,
    ping,
    said,
    signed_line,
    state_of,
    work_off,
)

NOW = START + 0.01
LAN = lan()
SILENT = LAN.ack_timeout + LAN.indirect_timeout
"""Seconds after which who was asked, and does not answer, is suspected."""


def circle(*names: str) -> list[Swim]:
    """People who know each other already."""
    people = [swim_of(name) for name in names]
    acquaint(*people)
    return people


def pinged(outputs: list[Output]) -> list[tuple[NodeId, int]]:
    """Who was asked directly, with which number."""
    return [
        (output.to, message.seq)
        for output in outputs
        if isinstance(output, SendPlain)
        for message in decode_untrusted(output.plaintext)
        if isinstance(message, Ping)
    ]


def run_to(swim: Swim, until: float) -> list[Output]:
    """Let time pass, on the dot; return what was asked for."""
    outputs: list[Output] = []
    while (due := swim.next_deadline()) <= until:
        swim.receive_deadline(now=due)
        assert swim.next_deadline() > due
        outputs += swim.outputs()
    return outputs


def pass_on(outputs: list[Output], alice: Swim) -> None:
    """Let alice hear what bob sent to her."""
    for item in said(outputs, "alice"):
        if isinstance(item, LineItem | RecordItem):
            alice.receive(id_of("bob"), datagram(item.wire()), now=NOW)


def first_probe(swim: Swim, after: float = START) -> tuple[float, NodeId, int]:
    """Let time pass until it probes somebody: when, whom, and the number."""
    end = after + 2 * LAN.probe_interval
    while (due := swim.next_deadline()) <= end:
        swim.receive_deadline(now=due)
        for target, seq in pinged(swim.outputs()):
            return due, target, seq
    raise AssertionError("nobody was probed")


def test_a_lone_node_sleeps() -> None:
    """Where nobody is known, nothing is sent and nobody is woken for an hour."""
    alice = swim_of("alice")

    assert alice.outputs() == []
    assert alice.next_deadline() > START + 3_000


def test_a_ping_is_answered_even_to_a_stranger() -> None:
    """Whoever reaches this node with a valid session gets an ack, and is asked who it is."""
    alice = swim_of("alice")
    alice.load = 3

    alice.receive(id_of("bob"), ping(seq=77), now=NOW)

    outputs = alice.outputs()
    assert said(outputs, "bob")[0] == Ack(77, alice.view_hash(), 3, int(UNIX + NOW))
    assert Pull(id_of("bob"), (id_of("bob"),)) in outputs


def test_an_answer_by_tunnel_fits_the_tunnel() -> None:
    """An ack that must be wrapped once more leaves room for that."""
    alice, *_ = circle("alice", "bob", *(f"member-{n}" for n in range(20)))
    run_to(alice, START + 0.1)
    for number in range(20):
        alice.receive(id_of("bob"), accuse("bob", line_of(swim_of(f"member-{number}"))), now=NOW)
    alice.outputs()

    alice.receive(id_of("bob"), ping(), now=NOW, room=MAX_TUNNELLED)

    (answer,) = [one for one in alice.outputs() if isinstance(one, SendPlain)]
    assert MAX_TUNNELLED - 200 < len(answer.plaintext) <= MAX_TUNNELLED


def test_a_silent_member_is_asked_through_others_then_suspected() -> None:
    """Suspicion starts when the indirect probe's deadline passes, and is told to others."""
    alice, *_ = circle("alice", "bob", "carol")
    at, target, seq = first_probe(alice)
    other = next(name for name in ("bob", "carol") if id_of(name) != target)

    outputs = run_to(alice, at + LAN.ack_timeout)
    indirect = [one for one in outputs if isinstance(one, IndirectProbe)]
    assert [(one.target, one.helpers) for one in indirect] == [(target, (id_of(other),))]
    assert Ping(seq, alice.view_hash()) in decode_untrusted(indirect[0].plaintext)

    outputs = run_to(alice, at + SILENT + 0.001)
    assert "member.suspected" in events(outputs)
    assert any(isinstance(item, SuspicionItem) for item in said(outputs, other))


def test_an_ack_settles_the_probe() -> None:
    """Whoever answers in time is not asked again, and its round trip and load are known."""
    alice, *_ = circle("alice", "bob")
    at, _, seq = first_probe(alice)

    alice.receive(id_of("bob"), ack(seq, alice.view_hash(), load=5), now=at + 0.02)

    assert "member.suspected" not in events(run_to(alice, at + SILENT - 0.01))
    member = alice.member(id_of("bob"))
    assert member is not None
    assert member.rtt == pytest.approx(0.02)
    assert member.load == 5


def test_somebody_elses_ack_settles_nothing() -> None:
    """Only the target's own channel can prove that the target is there."""
    alice, *_ = circle("alice", "bob", "carol")
    at, target, seq = first_probe(alice)
    other = next(name for name in ("bob", "carol") if id_of(name) != target)

    alice.receive(id_of(other), ack(seq), now=at + 0.1)
    run_to(alice, at + SILENT + 0.01)

    member = alice.member(target)
    assert member is not None
    assert member.state == "suspect"


def test_a_late_ack_clears_this_nodes_suspicion() -> None:
    """Being slow is not being dead: an ack after the timeout ends the countdown here."""
    alice, *_ = circle("alice", "bob")
    at, _, seq = first_probe(alice)
    run_to(alice, at + SILENT + 0.01)
    assert state_of(alice, "bob") == "suspect"

    alice.receive(id_of("bob"), ack(seq, alice.view_hash()), now=at + SILENT + 0.02)

    assert state_of(alice, "bob") == "alive"
    assert "member.updated" in events(alice.outputs())


def test_answered_calls_count_as_acks() -> None:
    """A member that answers calls is not suspected because a probe was lost."""
    alice, *_ = circle("alice", "bob")
    at, *_ = first_probe(alice)

    alice.evidence(id_of("bob"), "traffic", now=at + 0.3)

    assert "member.suspected" not in events(run_to(alice, at + SILENT - 0.01))


def test_a_silent_member_dies_by_this_nodes_own_countdown() -> None:
    """After the countdown, and not before, the member counts as failed."""
    alice, *_ = circle("alice", "bob")
    at, *_ = first_probe(alice)
    run_to(alice, at + SILENT + 0.001)
    shortest = LAN.suspicion_min_multiplier * LAN.probe_interval

    run_to(alice, at + SILENT + shortest - 0.01)
    assert state_of(alice, "bob") == "suspect"
    assert "member.failed" in events(run_to(alice, at + SILENT + shortest + 0.01))
    assert state_of(alice, "bob") == "dead"


def bury(alice: Swim, now: float) -> list[Output]:
    """Let bob's machine refuse whatever is sent to him; return what alice asked for."""
    alice.evidence(id_of("bob"), "refused", now=now)
    alice.evidence(id_of("bob"), "refused", now=now + 0.001)
    outputs = run_to(alice, now + alice.slowness * LAN.ack_timeout + 0.01)
    assert state_of(alice, "bob") == "dead"
    return outputs


def test_a_question_that_is_refused_and_not_answered_is_death() -> None:
    """A killed process on a running machine is known to be dead without a countdown."""
    alice, _, carol = circle("alice", "bob", "carol")

    alice.evidence(id_of("bob"), "refused", now=NOW)
    assert state_of(alice, "bob") == "alive"
    assert [target for target, _ in pinged(alice.outputs())] == [id_of("bob")]
    alice.evidence(id_of("bob"), "refused", now=NOW + 0.01)

    outputs = run_to(alice, NOW + LAN.ack_timeout - 0.01)
    assert state_of(alice, "bob") == "alive"
    outputs += run_to(alice, NOW + LAN.ack_timeout + LAN.gossip_interval)
    assert state_of(alice, "bob") == "dead"
    assert "member.failed" in events(outputs)
    (told,) = {item for item in said(outputs, "carol") if isinstance(item, SuspicionItem)}
    carol.receive(id_of("alice"), datagram(told.wire()), now=NOW)
    assert id_of("bob") in [target for target, _ in pinged(carol.outputs())]


def test_one_refusal_and_silence_is_only_a_suspicion() -> None:
    """The question itself was not refused: a forged message and lost packets look the same."""
    alice, *_ = circle("alice", "bob", "carol")

    alice.evidence(id_of("bob"), "refused", now=START)
    outputs = run_to(alice, START + LAN.ack_timeout + 0.01)

    assert state_of(alice, "bob") == "suspect"
    assert "member.suspected" in events(outputs)


def test_refusals_that_come_together_are_one() -> None:
    """Those that arrive with the first are of packets sent before the question."""
    alice, *_ = circle("alice", "bob", "carol")

    for _ in range(50):
        alice.evidence(id_of("bob"), "refused", now=START)
    run_to(alice, START + LAN.ack_timeout + 0.01)

    assert state_of(alice, "bob") == "suspect"


def test_no_number_of_forged_refusals_kills_who_answers() -> None:
    """Anybody can forge ICMP, off the path too; bob's ack is worth more than all of it."""
    alice, *_ = circle("alice", "bob")
    outputs: list[Output] = []
    for step in range(200):
        now = START + step * 0.01
        outputs += run_to(alice, now)
        alice.evidence(id_of("bob"), "refused", now=now)
        outputs += alice.outputs()
        if step % 10 == 9:  # a round trip of 100 ms
            asked = [seq for target, seq in pinged(outputs) if target == id_of("bob")]
            alice.receive(id_of("bob"), ack(asked[-1]), now=now)

    assert state_of(alice, "bob") == "alive"
    assert not {"member.suspected", "member.failed"} & set(events(outputs))


def test_one_lost_packet_does_not_make_a_forged_refusal_true() -> None:
    """The question is asked twice before silence counts."""
    alice, *_ = circle("alice", "bob", "carol")
    alice.evidence(id_of("bob"), "refused", now=START)
    alice.evidence(id_of("bob"), "refused", now=START + 0.01)
    alice.outputs()

    outputs = run_to(alice, START + LAN.ack_timeout / 2)
    ((_, seq),) = [asked for asked in pinged(outputs) if asked[0] == id_of("bob")]
    alice.receive(id_of("bob"), ack(seq), now=START + LAN.ack_timeout / 2 + 0.01)
    run_to(alice, START + LAN.ack_timeout + 0.1)

    assert state_of(alice, "bob") == "alive"


def test_a_reset_connection_alone_kills_nobody() -> None:
    """Closing a connection is no death: the member is asked, and keeps its countdown."""
    alice, *_ = circle("alice", "bob", "carol")

    alice.evidence(id_of("bob"), "reset", now=START)
    run_to(alice, START + LAN.ack_timeout + 0.01)

    assert state_of(alice, "bob") == "suspect"


def test_whoever_answers_after_a_refusal_lives() -> None:
    """A stray or forged ICMP message costs one ping."""
    alice, *_ = circle("alice", "bob")
    alice.evidence(id_of("bob"), "refused", now=START)
    ((_, seq),) = pinged(alice.outputs())

    alice.receive(id_of("bob"), ack(seq, alice.view_hash()), now=START + 0.01)
    run_to(alice, START + LAN.ack_timeout)

    assert state_of(alice, "bob") == "alive"


def test_a_stalled_node_accuses_nobody() -> None:
    """Who was late itself forgives all silence that it may have caused."""
    alice, *_ = circle("alice", "bob")
    at, *_ = first_probe(alice)

    alice.receive_deadline(now=at + 5.0)

    assert state_of(alice, "bob") == "alive"
    assert alice.counters["amnesties"] == 1


def test_a_stalled_node_buries_nobody() -> None:
    """A countdown that ended during a stall waits until answers have been read."""
    alice, *_ = circle("alice", "bob")
    at, _, seq = first_probe(alice)
    run_to(alice, at + SILENT + 0.001)
    assert state_of(alice, "bob") == "suspect"

    alice.receive_deadline(now=at + 9.0)
    assert state_of(alice, "bob") == "suspect"
    alice.receive(id_of("bob"), ack(seq, alice.view_hash()), now=at + 9.01)
    assert state_of(alice, "bob") == "alive"


def test_a_stall_is_noticed_by_whatever_comes_first() -> None:
    """Datagrams that are read before the overdue deadline find no one accused either."""
    alice, *_ = circle("alice", "bob", "carol")
    at, *_ = first_probe(alice)

    alice.receive(id_of("carol"), ping(), now=at + 3.0)
    alice.receive_deadline(now=at + 3.0)

    assert [state_of(alice, name) for name in ("bob", "carol")] == ["alive", "alive"]


def test_a_stall_is_forgiven_once() -> None:
    """What is found out after a stall counts, while the overdue deadline still waits."""
    alice, *_ = circle("alice", "bob", "carol")
    at, *_ = first_probe(alice)
    alice.receive(id_of("carol"), ping(), now=at + 3.0)

    bury(alice, at + 3.0 + SILENT + 0.01)


def test_missed_ticks_are_gone() -> None:
    """After a stall a node probes as before, and does not make up for lost time."""
    alice, *_ = circle("alice", "bob", "carol", "dave", "erin", "frank")
    at, *_ = first_probe(alice)

    alice.receive_deadline(now=at + 10.0)

    assert len(pinged(alice.outputs())) <= 1


def test_a_suspect_refutes_at_once() -> None:
    """The suspected member answers its accuser with a line that only it could sign."""
    _, bob = circle("alice", "bob")
    before = line_of(bob)

    bob.receive(id_of("alice"), accuse("alice", before), now=NOW)
    outputs = run_to(bob, NOW)

    assert line_of(bob).version == (before.epoch, before.seq + 1)
    assert LineItem(line_of(bob).raw) in said(outputs, "alice")


def test_nobody_makes_a_node_sign_faster_than_once_per_interval() -> None:
    """A flood of accusations of each new version gets one answer per probe interval."""
    bob, *_ = circle("bob", "alice", "carol")
    seq = line_of(bob).seq
    for step in range(100):
        now = NOW + step * 0.03
        for accuser in ("alice", "carol"):
            stamp = int(UNIX + START) + step
            bob.receive(id_of(accuser), accuse(accuser, line_of(bob), unix=stamp), now=now)
        run_to(bob, now)

    assert 3 <= line_of(bob).seq - seq <= 4


def test_a_refutation_is_repeated_to_whoever_missed_it() -> None:
    """An accuser that speaks of an older version is shown the newest, without a new one."""
    _, bob = circle("alice", "bob")
    old = line_of(bob)
    bob.receive(id_of("alice"), accuse("alice", old), now=NOW)
    run_to(bob, NOW)
    newest = line_of(bob)

    bob.receive(id_of("alice"), accuse("alice", old), now=NOW + 1.0)

    assert LineItem(newest.raw) in said(run_to(bob, NOW + 1.0), "alice")
    assert line_of(bob) == newest


def test_a_suspect_hears_of_it_with_every_datagram() -> None:
    """Whatever is sent to a suspected or dead member carries the accusation first."""
    alice, bob, *_ = circle("alice", "bob", "carol")
    alice.receive(id_of("carol"), accuse("carol", line_of(bob)), now=NOW)
    alice.outputs()

    alice.receive(id_of("bob"), ping(), now=NOW)

    answer = said(alice.outputs(), "bob")
    assert [type(item).__name__ for item in answer[:2]] == ["Ack", "SuspicionItem"]


def test_no_claim_about_a_node_changes_what_it_thinks_of_itself() -> None:
    """A node never believes itself suspect, dead or gone on another's word."""
    _, bob, *_ = circle("alice", "bob", "carol")

    bob.receive(id_of("alice"), accuse("alice", line_of(bob), evidence=1), now=NOW)
    gone = signed_line("alice", line_of(bob), seq=9, state=LEFT)
    bob.receive(id_of("alice"), datagram(LineItem(gone.raw).wire()), now=NOW)

    assert state_of(bob, "bob") == "alive"


def test_a_node_supersedes_what_is_left_of_its_former_run() -> None:
    """With its clock set back, a restarted node still becomes the newest."""
    before = swim_of("bob")
    alice = swim_of("alice")
    acquaint(alice, before)
    again = swim_of("bob", run=1, unix=UNIX + START - 100)
    assert line_of(again).version < line_of(before).version

    again.receive(id_of("alice"), datagram(LineItem(line_of(before).raw).wire()), now=NOW)
    outputs = run_to(again, NOW)

    assert line_of(again).epoch > line_of(before).epoch
    assert LineItem(line_of(again).raw) in said(outputs, "alice")


def test_two_runs_that_supersede_the_same_line_are_told_apart() -> None:
    """Its disk lost and its clock set back twice, bob is shown twice what he said before."""
    before = swim_of("bob")
    lines = []
    for run in (1, 2):
        again = swim_of("bob", run=run, unix=UNIX + START - 100)
        again.receive(id_of("alice"), datagram(LineItem(line_of(before).raw).wire()), now=NOW)
        run_to(again, NOW)
        lines.append(line_of(again))
    assert all(line.epoch > line_of(before).epoch for line in lines)
    assert lines[0].version != lines[1].version


def test_whoever_shows_an_old_line_of_itself_is_shown_the_newer_one() -> None:
    """So a restarted node learns what it has to supersede."""
    alice, bob = circle("alice", "bob")
    old = signed_line("bob", line_of(bob), epoch=line_of(bob).epoch - 10)

    alice.receive(id_of("bob"), datagram(LineItem(old.raw).wire()), now=NOW)

    assert LineItem(line_of(bob).raw) in said(alice.outputs(), "bob")


def test_two_nodes_with_one_key_complain_and_do_not_rage() -> None:
    """A copied key is reported, and its two holders do not flood the mesh."""
    _, bob = circle("alice", "bob")
    texts: list[str] = []
    for step in range(200):
        now = NOW + step * 0.05
        line = line_of(bob)
        newer = signed_line("bob", line, epoch=line.epoch + 1)
        bob.receive(id_of("alice"), datagram(LineItem(newer.raw).wire()), now=now)
        texts += events(run_to(bob, now))

    complaints = [text for text in texts if "this node's key" in text]
    assert 1 <= len(complaints) <= 6


def test_a_leaver_says_so_and_still_answers() -> None:
    """Leaving is told to several at once, and probes are answered while it spreads."""
    alice, bob, *_ = circle("alice", "bob", "carol")

    bob.leave(now=NOW)
    outputs = bob.outputs()
    assert {"alice", "carol"} == {
        name for name in ("alice", "carol") if LineItem(line_of(bob).raw) in said(outputs, name)
    }
    bob.receive(id_of("alice"), ping(5), now=NOW + 0.1)
    assert any(isinstance(item, Ack) for item in said(bob.outputs(), "alice"))

    alice.receive(id_of("bob"), datagram(LineItem(line_of(bob).raw).wire()), now=NOW)
    assert state_of(alice, "bob") == "left"
    assert "member.left" in events(alice.outputs())


def test_a_leaver_neither_probes_nor_refutes() -> None:
    """After its last word a node says nothing new."""
    _, bob = circle("alice", "bob")
    bob.leave(now=NOW)
    last = line_of(bob)
    bob.outputs()

    bob.receive(id_of("alice"), accuse("alice", last), now=NOW)
    outputs = run_to(bob, NOW + 10)

    assert line_of(bob) == last
    assert pinged(outputs) == []
    assert bob.next_deadline() == inf


def test_new_capabilities_reach_others() -> None:
    """Announcing changes the record, and so what others find."""
    alice, bob = circle("alice", "bob")
    bob.set_capabilities((CapabilityInfo("gpu"),), now=NOW)
    pass_on(run_to(bob, NOW + LAN.gossip_interval), alice)
    assert alice.directory.find("gpu") == [id_of("bob")]


def test_lines_are_renewed_before_they_expire() -> None:
    """A node that runs for days stays believable, even when the clock jumps."""
    alice = swim_of("alice")
    first = line_of(alice).valid_until
    run_to(alice, START + LAN.line_validity)
    assert line_of(alice).valid_until > first

    jumped = START + LAN.line_validity + 1
    alice.receive_wall_clock(UNIX + jumped + 50_000, now=jumped)
    assert line_of(alice).valid_until > UNIX + jumped + 50_000


def test_a_line_of_the_future_is_signed_anew() -> None:
    """A clock that was ahead at the start, and is put right, costs no membership."""
    alice, bob = swim_of("alice", unix=UNIX + START + 20 * 3_600), swim_of("bob")
    epoch = line_of(alice).epoch
    assert line_of(alice).valid_until > UNIX + START + 20 * 3_600

    alice.receive_wall_clock(UNIX + START, now=START)

    assert line_of(alice).valid_until == UNIX + START + LAN.line_validity
    assert line_of(alice).version == (epoch, 1)  # newer than what it said before
    bob.merge_untrusted(alice.sync_payload(), id_of("alice"), now=START)
    assert state_of(bob, "alice") == "alive"


def test_a_small_correction_of_the_clock_is_no_reason_to_sign() -> None:
    """Clocks are put right all the time; within the tolerance nobody minds."""
    alice = swim_of("alice")
    version = line_of(alice).version

    alice.receive_wall_clock(UNIX + START - LAN.clock_tolerance + 1, now=START)

    assert line_of(alice).version == version


def test_a_chain_about_to_expire_is_asked_for() -> None:
    """A member whose chain ends within the hour is asked for a longer one."""
    alice, *_ = circle("alice", "bob")
    alice.receive_wall_clock(UNIX + START + 23.5 * 3_600, now=START)
    outputs: list[Output] = []
    for step in range(20):
        outputs += run_to(alice, START + step / 10)

    pulls = [one for one in outputs if isinstance(one, Pull)]
    assert pulls == [Pull(id_of("bob"), (id_of("bob"),))]


def test_a_sync_is_announced_once_it_is_checked() -> None:
    """`Synced` comes when the list is whole, not when its bytes have arrived."""
    alice = swim_of("alice")
    alice.introduce(id_of("bob"), now=NOW)
    assert alice.outputs() == [SyncWith(id_of("bob"))]
    crowd = [swim_of(f"member-{number}").sync_payload()[0] for number in range(40)]

    alice.merge_untrusted(crowd, id_of("bob"), now=NOW)
    alice.synced_with(id_of("bob"), now=NOW)
    assert Tell(Synced(id_of("bob"))) not in alice.outputs()
    work_off(alice, NOW)

    assert Tell(Synced(id_of("bob"))) in alice.outputs()
    assert len(alice.members()) == 41


def test_after_a_sync_both_know_the_same() -> None:
    """What the peer did not list is told to it: one sync mends both views."""
    alice, *_ = circle("alice", "carol")
    bob = swim_of("bob")

    alice.merge_untrusted(bob.sync_payload(), id_of("bob"), now=NOW)
    alice.synced_with(id_of("bob"), now=NOW)
    work_off(alice, NOW)
    for item in said(alice.outputs(), "bob"):
        assert isinstance(item, RecordItem)
        bob.receive(id_of("alice"), datagram(item.wire()), now=NOW)

    assert bob.view_hash() == alice.view_hash()
    assert state_of(bob, "carol") == "alive"


def test_a_sync_tells_of_the_dead() -> None:
    """A newcomer does not take the dead for alive: it gets the accusation with the record."""
    alice, *_ = circle("alice", "bob", "carol")
    bury(alice, NOW)
    dave = swim_of("dave")

    dave.merge_untrusted(alice.sync_payload(), id_of("alice"), now=NOW)
    work_off(dave, NOW)

    assert state_of(dave, "bob") == "suspect"
    assert state_of(dave, "carol") == "alive"


def test_a_guest_looks_and_says_nothing() -> None:
    """A guest is in nobody's list, sends nothing, and still finds whom to call."""
    alice, *_ = circle("alice", "bob")
    guest = swim_of("guest", guest=True)

    guest.merge_untrusted(alice.sync_payload(), id_of("alice"), now=NOW)
    guest.synced_with(id_of("alice"), now=NOW)
    guest.receive(id_of("alice"), ping(), now=NOW)
    guest.evidence(id_of("bob"), "refused", now=NOW)
    outputs = guest.outputs() + run_to(guest, NOW + 100)

    assert not [one for one in outputs if not isinstance(one, Tell)]
    assert sorted(member.handle for member in guest.members()) == ["alice", "bob"]
    assert guest.contact(id_of("bob")) is not None
    assert guest.sync_payload() == []


def test_unknown_kinds_are_counted_and_skipped() -> None:
    """What a later version adds does not hide what this one understands."""
    alice, *_ = circle("alice", "bob")
    mixed = datagram([25, "a digest"], Ping(9, 0).wire(), [99])

    alice.receive(id_of("bob"), mixed, now=NOW)

    assert alice.counters["items_unknown"] == 2
    assert Ack(9, alice.view_hash(), 0, int(UNIX + NOW)) in said(alice.outputs(), "bob")


def test_the_lost_are_tried_again_and_told_why() -> None:
    """A dead member is called now and then with the accusation, so that it can refute."""
    alice, bob = circle("alice", "bob")
    bury(alice, START)

    outputs = run_to(alice, START + 1.5 * LAN.lost_retry_interval)

    asked = said(outputs, "bob")
    assert [type(item).__name__ for item in asked[:2]] == ["Ping", "SuspicionItem"]
    (message,) = [item for item in asked if isinstance(item, SuspicionItem)][:1]
    bob.receive(id_of("alice"), datagram(message.wire()), now=START + 40)
    for item in said(run_to(bob, START + 40), "alice"):
        if isinstance(item, LineItem):
            alice.receive(id_of("bob"), datagram(item.wire()), now=START + 41)
    assert state_of(alice, "bob") == "alive"
    assert "member.returned" in events(alice.outputs())


def test_the_same_seed_and_inputs_give_the_same_bytes() -> None:
    """A run can be replayed: chance comes from the seed alone."""
    runs = []
    for _ in range(2):
        alice, *_ = circle("alice", "bob", "carol", "dave")
        runs.append(run_to(alice, START + 30))

    assert runs[0] == runs[1]


def test_a_member_whose_view_is_ours_is_not_told_again() -> None:
    """News is kept from whoever's last view hash equals ours: bytes for nothing."""
    alice, *_ = circle("alice", "bob", "carol")
    newer = signed_line("carol", line_of(swim_of("carol")), seq=1)
    alice.receive(id_of("carol"), datagram(LineItem(newer.raw).wire()), now=NOW)
    alice.outputs()

    alice.receive(id_of("bob"), ping(view_hash=1), now=NOW)
    behind = said(alice.outputs(), "bob")
    alice.receive(id_of("bob"), ping(view_hash=alice.view_hash()), now=NOW)
    equal = said(alice.outputs(), "bob")

    assert LineItem(newer.raw) in behind
    assert equal == [Ack(1, alice.view_hash(), 0, int(UNIX + NOW))]


def test_a_restart_that_nobody_noticed_is_told() -> None:
    """A new process under an old key is no mere update: what it knew is gone."""
    alice, _ = circle("alice", "bob")
    again = swim_of("bob", run=1, now=NOW)

    alice.merge_untrusted(again.sync_payload(), None, now=NOW)
    outputs = [*alice.outputs(), *run_to(alice, NOW + 0.01)]

    told = [one.event for one in outputs if isinstance(one, Tell)]
    changes = [event for event in told if isinstance(event, MemberEvent)]
    assert [(event.name, event.reason) for event in changes] == [("member.updated", "it restarted")]


@pytest.mark.parametrize("draining", [True, False])
def test_draining_is_a_signed_word_that_is_told_once(draining: bool) -> None:  # noqa: FBT001  # a case
    """Saying the same again signs nothing; a later refutation says it again."""
    bob = swim_of("bob")
    bob.set_draining(draining=True, now=NOW)
    if not draining:
        bob.set_draining(draining=False, now=NOW)
    line = line_of(bob)
    bob.set_draining(draining=draining, now=NOW)
    assert line_of(bob) == line

    bob.receive(id_of("carol"), accuse("carol", line), now=NOW)
    bob.merge_untrusted(swim_of("carol").sync_payload(), None, now=NOW)
    run_to(bob, NOW + 0.01)
    bob.receive(id_of("carol"), accuse("carol", line), now=NOW + 0.02)
    run_to(bob, NOW + 1.0)

    assert line_of(bob).seq == line.seq + 1
    assert line_of(bob).state == line.state
    assert (line.state == DRAINING) == draining
    assert bob.counters["refutations"] == 1


def test_why_names_every_accuser_with_what_it_signed() -> None:
    """Others' accusations are kept as they came, and those against oneself as well."""
    alice, bob, carol = circle("alice", "bob", "carol")
    against_carol = accusation("bob", line_of(carol), evidence=1)
    against_alice = accusation("carol", line_of(alice))
    for each in (against_carol, against_alice):
        alice.receive(id_of("bob"), datagram(SuspicionItem(each.raw).wire()), now=NOW)
    run_to(alice, NOW + 0.001)

    about_carol = alice.why(id_of("carol"), now=NOW + 1.0)
    about_alice = alice.why(id_of("alice"), now=NOW + 1.0)

    assert about_carol is not None
    assert about_carol.accusers == (id_of("bob"),)
    assert about_carol.clues[0].statement == against_carol.raw
    assert about_carol.clues[0].by_name == "bob"
    assert [clue.kind for clue in about_carol.clues] == ["accused", "suspected"]
    assert about_alice is not None
    assert about_alice.accusers == (id_of("carol"),)
    assert about_alice.clues[0].statement == against_alice.raw
    assert alice.why(id_of("mallory"), now=NOW) is None
    assert bob.why(id_of("alice"), now=NOW) is not None


def test_a_suspicion_of_somebody_who_has_left_is_refuted_all_the_same() -> None:
    """Carol believed bob, who then left: if alice kept silent, carol would take her for dead."""
    alice, bob, _ = circle("alice", "bob", "carol")
    said_so = accuse("bob", line_of(alice))
    bob.leave(now=NOW)
    alice.receive(id_of("bob"), datagram(LineItem(line_of(bob).raw).wire()), now=NOW)
    assert state_of(alice, "bob") == "left"
    before = line_of(alice).version

    alice.receive(id_of("carol"), said_so, now=NOW + 0.1)
    outputs = [*alice.outputs(), *run_to(alice, NOW + 0.5)]

    assert line_of(alice).version > before
    assert LineItem(line_of(alice).raw) in said(outputs, "carol")


def test_nobody_is_suspected_on_the_word_of_somebody_who_has_left() -> None:
    """Bob is gone: what he says of carol is nobody's business any more."""
    alice, bob, carol = circle("alice", "bob", "carol")
    said_so = accuse("bob", line_of(carol))
    bob.leave(now=NOW)
    alice.receive(id_of("bob"), datagram(LineItem(line_of(bob).raw).wire()), now=NOW)

    alice.receive(id_of("dave"), said_so, now=NOW + 0.1)
    run_to(alice, NOW + 0.5)

    assert state_of(alice, "carol") == "alive"


def test_a_farewell_prevails_whatever_else_is_said_in_its_epoch() -> None:
    """A liar that says goodbye to some and stays with others has left, for all, in any order."""
    bob = line_of(swim_of("bob"))
    farewell, later = signed_line("bob", bob, state=LEFT), signed_line("bob", bob, seq=1)
    for order in ((farewell, later), (later, farewell)):
        alice, *_ = circle("alice", "bob", "carol")
        for line in order:
            alice.receive(id_of("carol"), datagram(LineItem(line.raw).wire()), now=NOW)
        assert state_of(alice, "bob") == "left"


def test_whoever_is_shown_a_farewell_that_it_did_not_mean_is_back_in_the_next_epoch() -> None:
    """Somebody with its key said goodbye: it is there, and says so where that cannot be denied."""
    alice, bob = circle("alice", "bob")
    farewell = signed_line("bob", line_of(bob), state=LEFT)
    alice.receive(id_of("carol"), datagram(LineItem(farewell.raw).wire()), now=NOW)
    assert state_of(alice, "bob") == "left"

    bob.receive(id_of("alice"), datagram(LineItem(farewell.raw).wire()), now=NOW)
    run_to(bob, NOW + 1.0)
    assert line_of(bob).epoch > farewell.epoch
    alice.receive(id_of("bob"), datagram(LineItem(line_of(bob).raw).wire()), now=NOW + 1.0)
    assert state_of(alice, "bob") == "alive"
