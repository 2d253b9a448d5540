from __future__ import annotations

import struct

import pytest

from meshp2p.errors import WireError
from meshp2p.transport import frame
from meshp2p.transport.multiplex import (
    AnswerArrived,
    Arrival,
    Multiplexer,
    RequestArrived,
    ResetArrived,
)
from meshp2p.wire import limits
from tests.unit.transport.pair import MIB, Rogue, connected, door_of

RECORD = 65_000


def ends() -> tuple[Multiplexer, Multiplexer]:
    """Alice's end, who connected, and bob's."""
    return Multiplexer(dialled=True), Multiplexer(dialled=False)


def pass_on(sender: Multiplexer, receiver: Multiplexer, records: int = 1_000_000) -> list[Arrival]:
    """Bring records from one end to the other, until it is silent."""
    arrivals: list[Arrival] = []
    while sender.has_frames and records:
        arrivals += receiver.receive_untrusted(sender.take(RECORD))
        records -= 1
    return arrivals


def settle(alice: Multiplexer, bob: Multiplexer) -> tuple[list[Arrival], list[Arrival]]:
    """Bring records both ways until both are silent: (what alice got, what bob got)."""
    to_alice: list[Arrival] = []
    to_bob: list[Arrival] = []
    while alice.has_frames or bob.has_frames:
        to_bob += pass_on(alice, bob)
        to_alice += pass_on(bob, alice)
    return to_alice, to_bob


def kinds(plaintext: bytes) -> list[tuple[int, int]]:
    """The (type, stream) of each frame."""
    return [(kind, stream) for kind, stream, _, _ in frame.parse_untrusted(plaintext)]


# --- bodies ------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, limits.MAX_FRAME_BODY, limits.MAX_FRAME_BODY + 1, MIB])
def test_a_body_of_any_size_crosses_whole(size: int) -> None:
    """There and back again, whether in one frame or in many."""
    alice, bob = ends()
    body = bytes(range(251)) * (size // 251 + 1)
    stream = alice.request(body[:size], answer_limit=MIB)
    _, to_bob = settle(alice, bob)
    bob.answer(stream, body[:size])
    to_alice, _ = settle(alice, bob)

    assert to_bob == [RequestArrived(stream, body[:size])]
    assert to_alice == [AnswerArrived(stream, body[:size])]
    assert alice.is_idle
    assert bob.is_idle


def test_no_more_is_sent_than_there_is_credit_for() -> None:
    """A receiver that says nothing gets 256 KiB of a long body, then silence."""
    alice, bob = ends()
    alice.request(bytes(MIB), answer_limit=100)
    sent = 0
    while alice.has_frames:
        sent += sum(len(body) for *_, body in frame.parse_untrusted(alice.take(RECORD)))

    assert sent == limits.STREAM_CREDIT
    assert bob.is_idle
    assert not alice.is_idle


def test_more_than_the_credit_ends_the_connection() -> None:
    """Credit counts once it has left: who does not wait for it breaks the rules."""
    rogue = Rogue.against(door_of("bob"))
    rogue.say(frame.pack(frame.OPEN, 1, b""))
    eighth = frame.pack(frame.DATA, 1, bytes(limits.STREAM_CREDIT // 8))
    for _ in range(8):
        assert rogue.say(eighth) == []

    with pytest.raises(WireError, match="credit"):
        rogue.say(frame.pack(frame.DATA, 1, b"x"))


def test_credit_that_has_left_may_be_used() -> None:
    """The same, byte for byte, is allowed where the sender waited for its credit."""
    rogue = Rogue.against(door_of("bob"))
    rogue.say(frame.pack(frame.OPEN, 1, b""))
    eighth = frame.pack(frame.DATA, 1, bytes(limits.STREAM_CREDIT // 8))
    for _ in range(8):
        rogue.say(eighth)
    credit = frame.pack(frame.CREDIT, 1, struct.pack(">I", limits.STREAM_CREDIT))

    assert rogue.hears() == credit
    for _ in range(8):
        rogue.say(eighth)


@pytest.mark.parametrize("more", [(1 << 32) - 1, limits.MAX_REASSEMBLY])
def test_credit_beyond_reason_is_refused(more: int) -> None:
    """Nobody can hold so much; whoever promises to is broken or hostile."""
    alice, _ = ends()
    stream = alice.request(bytes(MIB), answer_limit=100)

    with pytest.raises(WireError, match="reason"):
        alice.receive_untrusted(frame.pack(frame.CREDIT, stream, struct.pack(">I", more)))


def test_a_body_over_the_limit_is_reset() -> None:
    """The caller's answer may not outgrow what it allowed, in one frame or in many."""
    for size in (1_001, 100_000, MIB):
        alice, bob = ends()
        stream = alice.request(b"how long?", answer_limit=1_000)
        settle(alice, bob)
        bob.answer(stream, bytes(size))
        to_alice, to_bob = settle(alice, bob)

        assert to_alice == [ResetArrived(stream, frame.TOO_LARGE)]
        assert to_bob == [ResetArrived(stream, frame.TOO_LARGE)]
        assert alice.is_idle
        assert bob.is_idle


def test_a_request_over_the_limit_is_reset() -> None:
    """It is given up at both ends, and the connection lives on."""
    alice, bob = ends()
    stream = alice.request(bytes(limits.MAX_BODY + limits.MAX_HEAD + 1), answer_limit=100)
    to_alice, _ = settle(alice, bob)
    small = alice.request(b"small", answer_limit=100)
    _, to_bob = settle(alice, bob)

    assert to_alice == [ResetArrived(stream, frame.TOO_LARGE)]
    assert to_bob == [RequestArrived(small, b"small")]


def test_long_bodies_take_turns_within_what_the_receiver_can_hold() -> None:
    """Sixty-four bodies of 1 MiB at once all arrive, although only 16 MiB may be held."""
    alice, bob = ends()
    streams = {alice.request(bytes(MIB), answer_limit=100) for _ in range(64)}
    to_alice, to_bob = settle(alice, bob)

    assert to_alice == []
    assert {arrival.stream for arrival in to_bob} == streams
    assert all(isinstance(arrival, RequestArrived) for arrival in to_bob)


def test_half_received_bodies_are_bounded_together() -> None:
    """However many streams a member opens, it cannot make us hold more than 16 MiB."""
    rogue = Rogue.against(door_of("bob"))
    pieces, size = 4, 60_000
    resets = []
    for stream in range(1, 2 * limits.MAX_STREAMS, 2):
        rogue.say(frame.pack(frame.OPEN, stream, b""))
        for _ in range(pieces):
            resets += rogue.say(frame.pack(frame.DATA, stream, bytes(size)))

    held = limits.MAX_REASSEMBLY // (pieces * size) + 1
    assert len(resets) >= limits.MAX_STREAMS - held
    assert all(isinstance(arrival, ResetArrived) for arrival in resets)


def test_pieces_without_bytes_cost_nothing() -> None:
    """An endless stream of empty or tiny frames is no way round the limits."""
    _, bob = ends()
    bob.receive_untrusted(frame.pack(frame.OPEN, 1, b""))
    for _ in range(3):
        bob.receive_untrusted(9_000 * frame.pack(frame.DATA, 1, b""))
        bob.receive_untrusted(8_000 * frame.pack(frame.DATA, 1, b"x"))
    arrivals = bob.receive_untrusted(frame.pack(frame.DATA | frame.END, 1, b""))

    assert arrivals == [RequestArrived(1, b"x" * 24_000)]


def test_a_body_that_is_whole_is_owed_no_credit() -> None:
    """Its last pieces would earn some, but nobody is there to use it."""
    _, bob = ends()
    half = limits.STREAM_CREDIT // 2 + 1
    pieces = [half // 3] * 3 + [half % 3]
    frames = [frame.pack(frame.DATA, 1, bytes(size)) for size in pieces]
    last = frame.pack(frame.DATA | frame.END, 1, b"")
    arrivals = bob.receive_untrusted(frame.pack(frame.OPEN, 1, b"") + b"".join(frames) + last)

    assert arrivals == [RequestArrived(1, bytes(half))]
    assert not bob.has_frames


# --- who goes first -----------------------------------------------------------


def test_urgent_requests_overtake_long_bodies() -> None:
    """However much is on its way, a small request is in the very next record."""
    alice, bob = ends()
    for _ in range(20):
        alice.request(bytes(MIB), answer_limit=100)
    pass_on(alice, bob, records=2)
    urgent = alice.request(b"now", answer_limit=100)

    assert RequestArrived(urgent, b"now") in pass_on(alice, bob, records=1)


def test_control_overtakes_everything() -> None:
    """A cancellation does not wait behind the requests that it shall spare the other side."""
    alice, bob = ends()
    stream = alice.request(b"long work", answer_limit=100)
    settle(alice, bob)
    for _ in range(100):
        alice.request(bytes(1_000), answer_limit=100)
    alice.reset(stream, frame.CANCELLED)

    assert kinds(alice.take(RECORD))[0] == (frame.RESET, stream)


def test_long_bodies_share_the_line_fairly() -> None:
    """None waits for the other to end."""
    alice, _ = ends()
    first = alice.request(bytes(MIB), answer_limit=100)
    second = alice.request(bytes(MIB), answer_limit=100)
    seen = [
        stream for _ in range(4) for kind, stream in kinds(alice.take(RECORD)) if kind == frame.DATA
    ]

    assert abs(seen.count(first) - seen.count(second)) <= 1


def test_a_record_is_never_larger_than_asked_for() -> None:
    """A frame that does not fit waits for the next record."""
    alice, bob = ends()
    for size in (50_000, 20_000, MIB):
        alice.request(bytes(size), answer_limit=100)
    arrivals: list[Arrival] = []
    while alice.has_frames:
        plaintext = alice.take(RECORD)
        assert 0 < len(plaintext) <= RECORD
        arrivals += bob.receive_untrusted(plaintext)
        pass_on(bob, alice)

    assert [len(arrival.data) for arrival in arrivals if isinstance(arrival, RequestArrived)] == [
        50_000,
        20_000,
        MIB,
    ]


# --- giving up ----------------------------------------------------------------


def test_too_many_requests_at_once_are_refused_before_they_start() -> None:
    """The next one hears BUSY: it was not started, and may be tried elsewhere."""
    alice, bob = ends()
    streams = [alice.request(b"work", answer_limit=100) for _ in range(limits.MAX_STREAMS + 1)]
    to_alice, to_bob = settle(alice, bob)

    assert len(to_bob) == limits.MAX_STREAMS
    assert to_alice == [ResetArrived(streams[-1], frame.BUSY)]
    bob.answer(streams[0], b"done")
    settle(alice, bob)
    again = alice.request(b"work", answer_limit=100)
    assert settle(alice, bob)[1] == [RequestArrived(again, b"work")]


def test_all_that_may_be_queued_may_be_refused() -> None:
    """A full queue sent at once to a busy member is no attack: the connection lives."""
    both = connected()
    for _ in range(limits.MAX_QUEUED_FRAMES):
        both.ask(b"work")
    data = b""
    while both.alice.has_bytes:
        data += both.alice.pull(64 * 1024)
    both.bob.receive_untrusted(data, now=0.0)
    both.run()

    assert len(both.to_alice) == limits.MAX_QUEUED_FRAMES - limits.MAX_STREAMS


def test_a_flood_of_pings_that_nobody_reads_ends_the_connection() -> None:
    """Answers that wait to be read are bounded."""
    rogue = Rogue.against(door_of("bob"))
    pings = 9_000 * frame.pack(frame.PING, 0, b"")

    rogue.say(pings)
    rogue.say(pings)

    with pytest.raises(WireError, match="faster than it reads"):
        rogue.say(pings)


def test_pings_that_are_read_are_answered() -> None:
    """As many as one likes."""
    rogue = Rogue.against(door_of("bob"))
    for _ in range(20):
        rogue.say(1_000 * frame.pack(frame.PING, 0, b""))
        assert rogue.hears() == 1_000 * frame.pack(frame.PONG, 0, b"")


def test_answers_that_nobody_reads_are_bounded() -> None:
    """Who asks for megabytes and never reads is refused, then loses answers."""
    alice, bob = ends()
    streams = [alice.request(b"much, please", answer_limit=MIB) for _ in range(200)]
    pass_on(alice, bob)
    for stream in streams[:100]:
        bob.answer(stream, bytes(MIB))
    late = alice.request(b"more", answer_limit=MIB)

    assert pass_on(alice, bob) == []
    to_alice, _ = settle(alice, bob)
    resets = [arrival for arrival in to_alice if isinstance(arrival, ResetArrived)]
    answers = [arrival for arrival in to_alice if isinstance(arrival, AnswerArrived)]
    assert ResetArrived(late, frame.BUSY) in resets
    assert len(answers) == limits.MAX_UNREAD // MIB
    assert len(resets) == 1 + 100 - len(answers)


def test_answers_that_are_not_wanted_any_more_do_not_count_as_unread() -> None:
    """Whether they wait, or are on their way."""
    alice, bob = ends()
    streams = [alice.request(b"much, please", answer_limit=MIB) for _ in range(3)]
    pass_on(alice, bob)
    for stream, size in zip(streams, (MIB, MIB, 100), strict=True):
        bob.answer(stream, bytes(size))
    pass_on(bob, alice, records=2)
    waited = bob.unread
    for stream in streams:
        alice.reset(stream, frame.CANCELLED)
    pass_on(alice, bob)

    assert 0 < waited < 2 * MIB
    assert bob.unread == 0


def test_own_requests_do_not_make_a_node_refuse_others() -> None:
    """Only unread answers count against a peer."""
    alice, bob = ends()
    for _ in range(40):
        bob.request(bytes(MIB), answer_limit=100)
    stream = alice.request(b"hello", answer_limit=100)

    assert pass_on(alice, bob) == [RequestArrived(stream, b"hello")]


def test_a_cancelled_request_is_cancelled_at_the_other_end() -> None:
    """And an answer that was on its way is ignored."""
    alice, bob = ends()
    stream = alice.request(b"work", answer_limit=100)
    _, to_bob = settle(alice, bob)
    bob.answer(stream, b"done")
    alice.reset(stream, frame.CANCELLED)
    to_alice = pass_on(bob, alice)

    assert to_bob == [RequestArrived(stream, b"work")]
    assert pass_on(alice, bob) == [ResetArrived(stream, frame.CANCELLED)]
    assert to_alice == []
    assert alice.is_idle
    assert bob.is_idle


def test_a_long_request_is_not_heard_of_before_its_turn() -> None:
    """It would look as if it had stalled; cancelled meanwhile, it leaves no trace."""
    alice, bob = ends()
    streams = [alice.request(bytes(MIB), answer_limit=100) for _ in range(20)]
    alice.reset(streams[-1], frame.CANCELLED)
    first = alice.take(RECORD)
    arrivals = bob.receive_untrusted(first)
    _, to_bob = settle(alice, bob)
    opened = {stream for kind, stream in kinds(first) if kind == frame.OPEN}

    assert not arrivals
    assert opened == set(streams[: limits.MAX_REASSEMBLY // MIB])
    assert sorted(arrival.stream for arrival in to_bob) == streams[:-1]


@pytest.mark.parametrize("size", [10, MIB])
def test_a_request_cancelled_before_it_left_never_leaves(size: int) -> None:
    """The other end neither runs it nor waits for the rest of it."""
    alice, bob = ends()
    stream = alice.request(bytes(size), answer_limit=100)
    alice.reset(stream, frame.CANCELLED)

    assert settle(alice, bob) == ([], [])
    assert alice.is_idle
    assert bob.is_idle


def test_long_requests_cancelled_half_way_leave_nothing_behind() -> None:
    """A thousand of them, and the next one is still welcome."""
    alice, bob = ends()
    for _ in range(1_000):
        stream = alice.request(bytes(MIB), answer_limit=100)
        pass_on(alice, bob, records=2)
        alice.reset(stream, frame.CANCELLED)
        settle(alice, bob)

    assert alice.is_idle
    assert bob.is_idle
    stream = alice.request(bytes(MIB), answer_limit=100)
    assert settle(alice, bob)[1] == [RequestArrived(stream, bytes(MIB))]


def test_a_cancelled_request_is_not_answered() -> None:
    """A long answer stops where it is."""
    alice, bob = ends()
    stream = alice.request(b"work", answer_limit=MIB)
    settle(alice, bob)
    bob.answer(stream, bytes(MIB))
    pass_on(bob, alice, records=1)
    alice.reset(stream, frame.CANCELLED)
    settle(alice, bob)

    assert alice.is_idle
    assert bob.is_idle


def test_an_answer_before_the_end_of_the_question_ends_both() -> None:
    """A hostile callee cannot leave the rest of our question in memory for ever."""
    alice, _ = ends()
    stream = alice.request(bytes(MIB), answer_limit=100)
    alice.take(RECORD)
    early = frame.pack(frame.DATA | frame.END, stream, b"no need")

    assert alice.receive_untrusted(early) == [AnswerArrived(stream, b"no need")]
    assert kinds(alice.take(RECORD)) == [(frame.RESET, stream)]
    assert alice.is_idle


def test_a_stream_is_not_reused_while_its_answer_waits() -> None:
    """Two answers on one stream could be mistaken for each other."""
    alice, bob = ends()
    stream = alice.request(b"work", answer_limit=100)
    settle(alice, bob)
    bob.answer(stream, b"done")

    with pytest.raises(WireError, match="twice"):
        bob.receive_untrusted(frame.pack(frame.OPEN | frame.END, stream, b"again"))


def test_a_one_way_request_leaves_nothing_behind() -> None:
    """Nobody answers, nobody waits."""
    alice, bob = ends()
    stream = alice.request(b"for your information", answer_limit=0, one_way=True)
    settle(alice, bob)
    bob.finish(stream)

    assert alice.is_idle
    assert bob.is_idle


def test_a_goodbye_is_heard() -> None:
    """The other end learns that no new streams are wanted here."""
    alice, bob = ends()
    alice.go_away()
    settle(alice, bob)

    assert bob.peer_goes_away
    assert not alice.peer_goes_away


def test_stream_numbers_begin_again_after_the_last() -> None:
    """A connection that has lived for two thousand million requests lives on."""
    for dialled in (True, False):
        end, other = Multiplexer(dialled=dialled), Multiplexer(dialled=not dialled)
        first = end.request(b"still running", answer_limit=100)
        end._next_stream = (1 << 32) - 2 + dialled  # noqa: SLF001  # to count there takes hours
        streams = [end.request(b"x", answer_limit=100) for _ in range(3)]

        assert len({first, *streams}) == 4
        assert all(0 < stream < 1 << 32 and stream & 1 == dialled for stream in streams)
        assert len(pass_on(end, other)) == 4


def test_a_full_connection_says_so() -> None:
    """New calls go elsewhere when too much waits to leave."""
    alice, _ = ends()
    for _ in range(limits.MAX_QUEUED_FRAMES):
        assert not alice.is_full
        alice.request(b"x", answer_limit=100)

    assert alice.is_full
