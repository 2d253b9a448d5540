"""The three laws of the engine, for whatever happens and whoever sends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from meshp2p.config import loopback
from meshp2p.effects import OpenStream, SendDatagram, StreamReady
from meshp2p.engine import Engine, statistics
from meshp2p.errors import Closed
from meshp2p.ids import Address
from meshp2p.simulation import Agent, Conditions, Handler, Node, World
from meshp2p.transport.packet import FINISH, INIT, MAC_BYTES, RESP
from meshp2p.wire import limits
from tests.property.taped import Recorder, Tape, sizes

NAMES = ("alice", "bob", "carol")
STRANGER = Address("203.0.113.9", 4_000)
VERBS = ("call", "message", "crash", "restart", "cut", "heal", "pause", "resume", "vote", "leave")

scripts = st.lists(
    st.tuples(st.sampled_from(VERBS), st.integers(0, 2), st.sampled_from([0.0, 0.01, 0.3, 2.0])),
    max_size=6,
)


def lived(seed: int, script: list[tuple[str, int, float]]) -> tuple[World, list[Tape]]:
    """A world in which the script has happened, and the tapes of all its engines."""
    recorder = Recorder()
    world = World(seed, loopback(), conditions=Conditions(loss=0.05), make_engine=recorder)
    add = Handler(function=lambda a, b: a + b, takes=0.2, idempotent=True)
    for name in NAMES:
        world.start(name, agent=Agent({"add": add}, on_message=len, voter=lambda _: "yes"))
    world.run_for(0.3)
    for verb, who, wait in script:
        act(world, verb, world[NAMES[who]], world[NAMES[who - 1]])
        world.run_for(wait)
    return world, recorder.tapes


def act(world: World, verb: str, node: Node, other: Node) -> None:
    """One line of a script, where it makes sense."""
    of_the_world: dict[str, Callable[[], object]] = {
        "heal": world.heal,
        "cut": lambda: world.cut(node, other),
        "restart": lambda: None if node.is_running else world.restart(node),
        "resume": lambda: node.resume() if node.is_paused else None,
    }
    of_the_awake: dict[str, Callable[[], object]] = {
        "call": lambda: node.call("add", 1, 2, timeout=1.0),
        "message": lambda: node.call(f"@{other.name}", "x" * 100_000),
        "crash": lambda: world.crash(node),
        "pause": node.pause,
        "leave": lambda: world.leave(node),
        "vote": lambda: world.vote(node, "ship it?", ["yes", "no"], closes_in=0.5),
    }
    if verb in of_the_world:
        of_the_world[verb]()
    elif node.is_running and not node.is_paused:
        with contextlib.suppress(Closed):  # it is about to leave, and says so
            of_the_awake[verb]()


@example(0, [("leave", 0, 0.0), ("vote", 0, 0.0)])
@given(st.integers(0, 1_000), scripts)
def test_same_seed_and_inputs_give_the_same_effects(
    seed: int, script: list[tuple[str, int, float]]
) -> None:
    """Law 1: an engine has no state but its own, so a failure can be played again."""
    _, tapes = lived(seed, script)
    for tape in tapes:
        for given_back, before in tape.play(tape.fresh_engine()):
            assert given_back == before or repr(given_back) == repr(before)


def test_a_connection_closed_by_a_leaver_is_not_waited_for() -> None:
    """A world checks law 2 at every step; this one once had a node that span."""
    lived(3, [("leave", 0, 2.0)])


@given(st.integers(0, 1_000), scripts, st.data())
def test_after_a_deadline_the_next_one_is_later(
    seed: int, script: list[tuple[str, int, float]], data: st.DataObject
) -> None:
    """Law 2: whatever state was reached, and however late the clock is looked at."""
    _, tapes = lived(seed, script)
    for tape in tapes:
        engine = tape.fresh_engine()
        stop = data.draw(st.integers(1, len(tape.entries)), label="inputs")
        tape.entries = tape.entries[:stop]
        for _ in tape.play(engine):
            pass
        now = tape.now
        for late in data.draw(st.lists(st.sampled_from([0.0, 1e-6, 0.1, 5.0, 1e5]), max_size=4)):
            now += late
            engine.receive_deadline(now=now)
            assert engine.next_deadline() > now


# --- Law 3: strangers --------------------------------------------------------------------


def quiet_pair() -> tuple[World, Tape]:
    """Two who know each other and have talked; and the tape of alice."""
    recorder = Recorder()
    world = World(1, make_engine=recorder)
    alice, bob = world.join("alice", "bob", agent=Agent(on_message=len))
    calls = [bob.call("@alice", "hello"), alice.call("@bob", "hello")]
    world.run_until(lambda: all(call.is_done for call in calls))
    world.run_for(2.0)
    return world, recorder.tapes[0]


_WORLD, _TAPE = quiet_pair()
_DATAGRAMS = [args[0] for args in _TAPE.given("receive_datagram")]
_SAID = [data[:-MAC_BYTES] if data[0] in (INIT, RESP, FINISH) else data for data in _DATAGRAMS]
"""The same without the room for a cookie: nobody asked for one, so it says nothing."""
_STREAMS: dict[int, bytes] = {}
for _stream, _piece in _TAPE.given("receive_stream"):
    _STREAMS[_stream] = _STREAMS.get(_stream, b"") + _piece


@st.composite
def strange(draw: st.DrawFn, real: list[bytes]) -> bytes:
    """Garbage, or something real: cut off, too long, changed in some bytes, or as it was."""
    data = draw(st.one_of(st.binary(max_size=1_300), st.sampled_from(real)))
    kind = draw(st.sampled_from(["as it is", "cut off", "too long", "changed"]))
    if kind == "cut off":
        return data[: draw(st.integers(0, len(data)))]
    if kind == "too long":
        return data + draw(st.binary(min_size=1, max_size=2_000))
    if kind == "changed" and data:
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 4))):
            changed[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
        return bytes(changed)
    return data


def replay_of_alice() -> Engine:
    """Make alice as she was after all that was on tape, with nothing left to do."""
    engine = _TAPE.fresh_engine()
    for _ in _TAPE.play(engine):
        pass
    engine.effects()
    return engine


def counted(engine: Engine) -> int:
    """How often something was refused, dropped or ignored."""
    stats = engine.stats()
    return sum(stats[name] for name in statistics.REFUSED)


def oversized(engine: Engine) -> dict[str, int]:
    """Containers with more elements than a table of strangers may have."""
    found = sizes(engine)
    bytes_of = {path for path in found if path.endswith(("_inbox", "_raw"))}
    assert all(found[path] <= 2 * limits.MAX_HANDSHAKE for path in bytes_of)
    return {
        path: size
        for path, size in found.items()
        if size > limits.MAX_PENDING_HANDSHAKES and path not in bytes_of
    }


@given(st.lists(strange(_DATAGRAMS), min_size=1, max_size=6))
def test_a_strangers_datagrams_never_raise_and_are_counted(datagrams: list[bytes]) -> None:
    """Law 3, datagrams: one count each, no answer to garbage, no session lost."""
    engine, now = replay_of_alice(), _WORLD.now
    sessions = engine.stats()["sessions"]
    for data in datagrams:
        before = counted(engine)
        engine.receive_datagram(data, STRANGER, now=now)
        effects = engine.effects()
        replayed = any(data.startswith(real) for real in _SAID)
        answered = [each for each in effects if isinstance(each, SendDatagram)]
        assert replayed or not answered
        assert sum(len(each.data) for each in answered) <= len(data)
        assert counted(engine) > before or answered
    assert sessions <= engine.stats()["sessions"] <= sessions + len(datagrams)
    assert oversized(engine) == {}
    engine.receive_deadline(now=now + 60.0)
    assert engine.next_deadline() > now + 60.0


def test_a_cookie_that_nobody_asked_for_makes_no_difference() -> None:
    """A handshake with something where a cookie would be is the same handshake."""
    (init, *_) = (data for data in _DATAGRAMS if data[0] == INIT)
    answers = []
    for cookie in (init[-MAC_BYTES:], b"not a cookie 16B"):
        engine = replay_of_alice()
        engine.receive_datagram(init[:-MAC_BYTES] + cookie, STRANGER, now=_WORLD.now)
        answers.append([each for each in engine.effects() if isinstance(each, SendDatagram)])

    assert len(answers[0]) == len(answers[1]) == 1
    assert [len(each.data) for each in answers[0]] == [len(each.data) for each in answers[1]]


@given(
    st.lists(st.tuples(st.integers(0, 3), strange(list(_STREAMS.values()))), max_size=8),
    st.integers(1, 500),
)
def test_a_strangers_streams_never_raise_and_get_no_byte(
    pieces: list[tuple[int, bytes]], torn: int
) -> None:
    """Law 3, streams: whatever is sent, in whatever pieces; without the keys, silence."""
    engine, now = replay_of_alice(), _WORLD.now
    ours = {10_000 + 2 * which for which, _ in pieces}
    for stream in sorted(ours):
        engine.stream_accepted(stream, STRANGER, now=now)
    sent: dict[int, bytes] = dict.fromkeys(ours, b"")
    for which, data in pieces:
        stream = 10_000 + 2 * which
        sent[stream] += data
        for at in range(0, len(data), torn):
            engine.receive_stream(stream, data[at : at + torn], now=now)
    for stream, data in sent.items():
        answer = engine.stream_bytes(stream, 65_536, now=now)
        recorded = any(data.startswith(whole[:64]) for whole in _STREAMS.values())
        assert recorded or answer == b""
    for effect in engine.effects():
        assert not isinstance(effect, SendDatagram | OpenStream)
        assert not isinstance(effect, StreamReady) or effect.stream in ours
    assert oversized(engine) == {}
    engine.receive_deadline(now=now + 60.0)
    engine.effects()
    assert engine.stats()["streams"] <= 2


def test_a_flood_of_connections_is_bounded_and_leaves_nothing() -> None:
    """Few for each address, some in all; members of the mesh are let in again afterwards."""
    engine, now = replay_of_alice(), _WORLD.now
    before = engine.stats()["streams"]
    for n in range(500):
        host = f"203.0.{n // 100}.{n % 100}"
        engine.stream_accepted(10_000 + 2 * n, Address(host, 9), now=now)
        engine.receive_stream(10_000 + 2 * n, b"m2p\1\0\1\xff", now=now)
        engine.effects()
    assert engine.stats()["streams"] - before <= limits.MAX_PREAUTH_STREAMS
    for n in range(500, 600):
        engine.stream_accepted(10_000 + 2 * n, STRANGER, now=now)
    engine.receive_deadline(now=now + engine.config.preauth_timeout)
    assert engine.stats()["streams"] <= before
    for n in range(600, 700):
        engine.stream_accepted(10_000 + 2 * n, STRANGER, now=now + 10.0)
    assert engine.stats()["streams"] - before <= limits.MAX_PREAUTH_STREAMS_PER_HOST


def test_recorded_handshakes_from_many_addresses_fill_no_table() -> None:
    """Who replays what it saw on the wire, a thousand times, harms no session in use."""
    engine, now = replay_of_alice(), _WORLD.now
    answered: list[Any] = []
    for n in range(1_000):
        for data in _DATAGRAMS[:40]:
            source = Address(f"203.0.{n // 250}.{n % 250}", 9)
            engine.receive_datagram(data, source, now=now)
        answered += engine.effects()
    assert oversized(engine) == {}
    assert engine.member(_WORLD["bob"].id).state == "alive"  # type: ignore[union-attr]  # it knows him
