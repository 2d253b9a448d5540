"""What members can make one node hold by way of connections, and what becomes of those."""

from __future__ import annotations

import random
from itertools import count

import attrs

from meshp2p.config import loopback
from meshp2p.effects import CloseStream
from meshp2p.engine.core import Core
from meshp2p.engine.link import Errand, Link
from meshp2p.engine.links import Links
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import Address
from meshp2p.transport import frame
from meshp2p.transport.connection import Connection
from meshp2p.transport.held import Held
from meshp2p.transport.multiplex import Arrival, ResetArrived
from meshp2p.transport.path import Route
from meshp2p.wire import limits
from tests.issuing import CRYPTO, NOW, identity
from tests.unit.transport.pair import MIB, accept, dial, door_of, node_id

PIECE = 60_000
HERE = Address("127.0.0.1", 7)


class Bob:
    """A node's connections, what came in on them, and a clock."""

    def __init__(self, held: Held | None = None) -> None:
        who = identity("bob")
        self.core = Core(
            config=loopback(),
            identity=who,
            trust=Trust(CRYPTO, who.keys),
            crypto=CRYPTO,
            rng=random.Random(1),
            entropy=random.Random(2).randbytes,
            guest=False,
            unix=NOW,
            now=0.0,
        )
        self.door = door_of("bob")
        self.requests: list[tuple[Link, int]] = []
        self.gone: list[str] = []
        self.links = Links(
            self.core,
            self.door,
            on_request=self._hear,
            on_gone=lambda _link, reason, _now: self.gone.append(reason),
            now=0.0,
            held=held,
        )
        self.now = 0.0
        self._streams = count(2, 2)

    def _hear(self, link: Link, stream: int, data: bytes | None, _now: float) -> None:
        if data is not None:
            self.requests.append((link, stream))

    def meet(self, who: str | NodeIdentity, at: Address = HERE) -> Caller:
        """Somebody connects, and proves who it is."""
        caller = Caller(self, next(self._streams), dial(door_of(who), self.door))
        self.links.accepted(caller.stream, at, now=self.now)
        caller.settle()
        return caller

    def run_until(self, end: float) -> None:
        """Let time pass; each deadline must lead to a later one."""
        while (due := self.links.next_deadline()) <= end:
            self.now = self.core.now = max(due, self.now)
            self.links.receive_deadline(now=self.now)
            assert self.links.next_deadline() > self.now
        self.now = self.core.now = end

    @property
    def closed(self) -> list[int]:
        """Connections that it has ended."""
        return [one.stream for one in self.core.take_effects() if isinstance(one, CloseStream)]


@attrs.define
class Caller:
    """The other end of one of bob's connections."""

    bob: Bob
    stream: int
    end: Connection
    heard: list[Arrival] = attrs.field(factory=list)

    def settle(self) -> None:
        """Carry bytes both ways until both are silent."""
        back = b"something"
        while back or self.end.has_bytes:
            self.speak()
            back = self.bob.links.bytes_for(self.stream, MIB)
            if back:
                self.heard += self.end.receive_untrusted(back, now=self.bob.now)

    def speak(self, most: int = MIB) -> None:
        """Say what waits, and read nothing."""
        data = self.end.pull(most)
        if data:
            self.bob.links.receive(self.stream, data, now=self.bob.now)

    def begin(self, stream: int, pieces: int = 0) -> None:
        """Begin a request, and never end it."""
        mux = self.end.mux
        mux._queue_control(frame.OPEN, stream, b"")  # noqa: SLF001  # what ours never would
        self.go_on(stream, pieces)

    def go_on(self, stream: int, pieces: int = 1) -> None:
        """Some more of it."""
        for _ in range(pieces):
            self.end.mux._queue_control(frame.DATA, stream, bytes(PIECE))  # noqa: SLF001
        while self.end.has_bytes:
            self.speak()

    @property
    def stands(self) -> bool:
        """Whether bob still has the connection."""
        return self.bob.links.is_open(self.stream)


# --- how many ------------------------------------------------------------------


def test_a_member_has_three_connections_at_most() -> None:
    """However often it connects: its oldest goes, those of others stay."""
    bob = Bob()
    carol = bob.meet("carol")
    mallory = [bob.meet("mallory") for _ in range(10)]

    assert [one.stands for one in mallory] == [False] * 7 + [True] * 3
    assert carol.stands
    assert len(bob.links) == 4
    assert bob.closed == [one.stream for one in mallory[:7]]
    assert bob.core.counters["stream_surplus"] == 7


def test_new_keys_give_a_member_no_more_connections() -> None:
    """It makes itself as many transport keys as it likes, each with a credential."""
    bob = Bob()
    for life in range(10):
        bob.meet(identity("mallory", transport_private=bytes([life + 1]) * 32))

    assert len(bob.links) == limits.MAX_CONNECTIONS_PER_MEMBER


def test_the_connection_that_serves_is_not_the_one_that_goes() -> None:
    """Bob's calls survive that whom he called connects again and again."""
    bob = Bob()
    names = (f"agent-{n}" for n in count())
    other = next(name for name in names if node_id(name) > node_id("bob"))
    lost: list[str] = []
    errand = _ask(bob, other, lost)
    serving = Caller(bob, 1, accept(door_of(other)))
    bob.links.opened(1, now=0.0)
    serving.settle()
    for _ in range(5):
        bob.run_until(bob.now + 0.1)
        bob.meet(other)

    assert errand.stream
    assert serving.stands
    assert lost == []
    assert len(bob.links) == limits.MAX_CONNECTIONS_PER_MEMBER


def _ask(bob: Bob, name: str, lost: list[str]) -> Errand:
    def lose(
        _errand: Errand, reason: str, _now: float, /, *, sent: bool, full: bool = False
    ) -> None:
        lost.append(f"{reason} {sent} {full}" if full else f"{reason} {sent}")

    errand = Errand(1, b"x" * 10, MIB, lambda _errand, _data, _now: None, lose)
    bob.links.send(node_id(name), errand, route=lambda _: Route((HERE,), None), now=bob.now)
    return errand


# --- how much ------------------------------------------------------------------


def test_half_received_bodies_of_all_connections_are_bounded_together() -> None:
    """The connection that holds most is closed; who holds little does not notice."""
    bob = Bob(Held(most_half_received=20 * PIECE))
    carol, mallory, mallet = bob.meet("carol"), bob.meet("mallory"), bob.meet("mallory")
    carol.begin(1, pieces=2)
    for stream in range(3, 9, 2):
        mallory.begin(stream, pieces=4)
    for stream in range(3, 9, 2):
        mallet.begin(stream, pieces=4)

    assert not mallory.stands
    assert carol.stands
    assert bob.links.held.half_received <= 20 * PIECE
    assert bob.core.counters["stream_overfull"] == 1
    carol.end.mux._queue_control(frame.DATA | frame.END, 1, b"")  # noqa: SLF001
    carol.settle()
    assert [stream for _, stream in bob.requests] == [1]


def test_unread_answers_of_all_connections_are_bounded_together() -> None:
    """Who reads least goes first, and what it held is free again at once."""
    bob = Bob(Held(most_unread=4 * MIB))
    carol, mallory = bob.meet("carol"), bob.meet("mallory")
    for caller, asks in ((carol, 1), (mallory, 6)):
        for _ in range(asks):
            caller.end.mux.request(b"much", answer_limit=MIB)
        caller.speak()
    for link, stream in bob.requests:
        bob.links.answer(link, stream, bytes(MIB))
    bob.run_until(bob.now)

    assert not mallory.stands
    assert bob.links.held.unread == MIB
    carol.settle()
    assert carol.stands
    assert len(carol.heard) == 1
    assert bob.links.held.unread == 0


def test_what_ends_is_no_longer_counted() -> None:
    """Whether it became whole, was given up, was read, or went down with its connection."""
    bob = Bob()
    carol, mallory = bob.meet("carol"), bob.meet("mallory")
    carol.end.mux.request(bytes(MIB), answer_limit=MIB)
    carol.end.mux.request(bytes(MIB), answer_limit=MIB)
    carol.settle()
    for link, stream in bob.requests:
        bob.links.answer(link, stream, bytes(MIB))
    carol.begin(101, pieces=3)
    mallory.begin(101, pieces=3)
    assert bob.links.held.half_received == 6 * PIECE
    assert bob.links.held.unread == 2 * MIB
    carol.end.mux.reset(101, frame.CANCELLED)
    carol.settle()
    bob.links.drop_peer(node_id("mallory"), "gone", now=0.0)

    assert bob.links.held.half_received == 0
    assert bob.links.held.unread == 0


# --- how long ------------------------------------------------------------------


def test_a_body_of_which_nothing_more_comes_is_given_up() -> None:
    """After it has been silent for half a minute; then the connection is idle, and closes."""
    bob = Bob()
    mallory = bob.meet("mallory")
    mallory.begin(1, pieces=2)
    mallory.begin(3)
    bob.run_until(limits.BODY_SILENCE - 1)
    assert bob.links.held.half_received == 2 * PIECE
    bob.run_until(2 * limits.BODY_SILENCE + 1)
    mallory.settle()

    assert bob.links.held.half_received == 0
    assert mallory.heard == [ResetArrived(stream, frame.STALLED) for stream in (1, 3)]
    assert bob.core.counters["body_stalled"] == 2
    bob.run_until(3 * bob.core.config.idle_close)
    assert not mallory.stands


def test_a_body_that_comes_slowly_comes_whole() -> None:
    """One piece every twenty seconds is enough."""
    bob = Bob()
    carol = bob.meet("carol")
    carol.begin(1)
    for turn in range(10):
        bob.run_until(20.0 * turn)
        carol.go_on(1)
        carol.settle()
    carol.end.mux._queue_control(frame.DATA | frame.END, 1, b"")  # noqa: SLF001
    carol.settle()

    assert [stream for _, stream in bob.requests] == [1]


def test_a_caller_hears_that_its_answer_has_stalled() -> None:
    """It may have been carried out."""
    bob = Bob()
    lost: list[str] = []
    mallory = bob.meet("mallory")
    errand = _ask(bob, "mallory", lost)
    mallory.settle()
    mallory.go_on(errand.stream)
    bob.run_until(3 * limits.BODY_SILENCE)

    assert lost == ["the rest of a body did not come True"]


# --- moving ----------------------------------------------------------------------------


def test_who_moves_ends_connections_from_where_it_was() -> None:
    """Not those within its machine, nor those of a family whose address it has kept."""
    bob = Bob()
    bob.meet("alice", Address("127.0.0.1", 40_001))
    gone = bob.meet("carol", Address("192.0.2.3", 40_002))
    bob.meet("dave", Address("2001:db8::4", 40_003))
    assert bob.closed == []
    bob.links.node_moved([Address("198.51.100.2", 6374)], now=bob.now)
    assert bob.closed == [gone.stream]
    assert bob.core.counters["stream_moved"] == 1


def test_a_member_that_moves_leaves_its_connections_behind() -> None:
    """Those from where it was; and only its own."""
    bob = Bob()
    before = Address("192.0.2.3", 6374)
    first = bob.meet("carol", Address("192.0.2.3", 40_002))
    bob.meet("dave", Address("192.0.2.3", 40_003))
    there = [Address("203.0.113.9", 6374)]
    bob.links.peer_moved(node_id("carol"), [before], there, now=bob.now)
    assert bob.closed == [first.stream]
    again = bob.meet("carol", Address("203.0.113.9", 40_004))
    bob.links.peer_moved(node_id("carol"), [before], there, now=bob.now)
    assert again.stream not in bob.closed


def test_another_port_of_the_same_machine_is_no_move() -> None:
    """So it is with each restart; what the new process has connected leads to it."""
    bob = Bob()
    carol = bob.meet("carol", Address("192.0.2.3", 40_002))
    before, there = Address("192.0.2.3", 6374), Address("192.0.2.3", 51_000)
    bob.links.peer_moved(node_id("carol"), [before], [there], now=bob.now)
    assert carol.stands


# --- signs of life ---------------------------------------------------------------------


def test_only_whole_records_say_that_their_sender_is_there() -> None:
    """What is added to a connection on its way is known as such when its record is whole."""
    bob = Bob()
    carol = bob.meet("carol")
    carol.end.mux.request(b"a question", answer_limit=1)
    record = carol.end.pull(MIB)
    bob.run_until(1.0)
    heard = [bob.links.receive(carol.stream, record[:-1], now=1.0)]
    bob.run_until(2.0)
    heard.append(bob.links.receive(carol.stream, record[-1:], now=2.0))
    bob.run_until(3.0)
    heard.append(bob.links.receive(carol.stream, b"\xff\xff", now=3.0))
    heard.append(bob.links.receive(carol.stream, bytes(1_000), now=3.0))
    assert heard == [None, node_id("carol"), None, None]
    assert len(bob.requests) == 1


def test_a_connection_that_only_brings_parts_of_a_record_is_idle() -> None:
    """Nobody keeps it open by a byte now and then."""
    bob = Bob()
    carol = bob.meet("carol")
    bob.links.receive(carol.stream, b"\xff\xff", now=0.0)
    while bob.now < 2 * bob.core.config.idle_close:
        bob.run_until(bob.now + 10.0)
        bob.links.receive(carol.stream, b"\x00", now=bob.now)
    assert not carol.stands
