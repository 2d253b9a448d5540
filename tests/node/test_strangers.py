"""Nothing readable on the wire, and not one byte for whoever does not know the mesh."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from meshp2p import Node, capability
from meshp2p.errors import WireError
from meshp2p.identity.keyfile import load_or_create_easy_key
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys, Trust
from meshp2p.ids import Address, NodeId, parse_id
from meshp2p.transport.connection import Connection
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.pending import Attempt
from tests.node.conftest import Start
from tests.node.tap import Tap, free_port
from tests.node.waiting import eventually, know_each_other

WAIT = 5.0


def door(keys: MeshKeys) -> Doorkeeper:
    """A node's doorkeeper, without a node around it."""
    crypto = OpenSSL()
    identity = NodeIdentity.self_issued(
        crypto,
        keys,
        node_private=os.urandom(32),
        transport_private=os.urandom(32),
        journal_id=os.urandom(16),
        handle="mallory",
        role="worker",
        unix=time.time(),
    )
    doorkeeper = Doorkeeper(
        crypto=crypto, entropy=os.urandom, identity=identity, trust=Trust(crypto, keys)
    )
    doorkeeper.wall_offset = time.time()
    return doorkeeper


def right_key(namespace: str = "default") -> MeshKeys:
    """What every node of this test's user knows."""
    easy_key = load_or_create_easy_key(Path(os.environ["MESHP2P_STATE"]))
    return MeshKeys.from_easy_key(easy_key, namespace, OpenSSL())


def other_key() -> MeshKeys:
    """The key of another user's mesh."""
    return MeshKeys.from_easy_key(os.urandom(32), "default", OpenSSL())


def no_key() -> MeshKeys:
    """What somebody can use who knows nothing: zeros."""
    return attrs.evolve(other_key(), mesh_id=bytes(16), group_id=bytes(16), psk=bytes(32))


def half_key() -> MeshKeys:
    """Somebody who has seen ids of the mesh, which are no secret, but has no key."""
    return attrs.evolve(right_key(), psk=bytes(32))


def neighbour_key() -> MeshKeys:
    """The right mesh, another namespace."""
    return right_key("other")


STRANGERS = [other_key, no_key, half_key, neighbour_key]


@attrs.frozen
class Target:
    """Where the attacked node listens, and what is publicly known of it."""

    node: Node
    port: int
    id: NodeId
    static: bytes


@pytest.fixture
def target(start: Start) -> Target:
    """Bob, who listens on one port."""
    port = free_port()
    bob = start("bob", bind=f"127.0.0.1:{port}")
    identity = bob._host.shell.engine.identity  # type: ignore[union-attr]  # noqa: SLF001  # as if it had leaked
    return Target(bob, port, NodeId(parse_id(bob.id)), identity.transport_public)


@pytest.fixture
def datagrams() -> Iterator[socket.socket]:
    """A plain UDP socket."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT)
        sock.bind(("127.0.0.1", 0))
        yield sock


def init_datagram(keys: MeshKeys, target: Target, *, xx: bool) -> bytes:
    """The first packet of a handshake on UDP."""
    static = None if xx else target.static
    keeper = door(keys)
    path = Address("127.0.0.1", target.port)
    return Attempt.begin(keeper, target.id, 7, (path,), static).datagram(keeper, path)


def udp_answer(sock: socket.socket, packet: bytes, target: Target) -> bytes:
    """Send a packet and wait for an answer; b"" if later packets are answered instead.

    A right packet from another socket follows: once that is answered, the node has read
    the first one too and will not answer it any more.
    """
    sock.sendto(packet, ("127.0.0.1", target.port))
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        control.settimeout(WAIT)
        control.sendto(init_datagram(right_key(), target, xx=True), ("127.0.0.1", target.port))
        assert control.recv(2_000)
    sock.settimeout(0)
    try:
        return sock.recv(2_000)
    except BlockingIOError:
        return b""


def tcp_answer(keys: MeshKeys, target: Target, *, xx: bool) -> bytes:
    """All bytes that a stream answers to the first message of a handshake."""
    connection = Connection(
        door(keys),
        now=0.0,
        rekey_bytes=1 << 30,
        dial=True,
        peer_id=target.id,
        static=None if xx else target.static,
    )
    return raw_tcp_answer(connection.pull(65_536), target)


def raw_tcp_answer(data: bytes, target: Target) -> bytes:
    """The first bytes that come back, or b"" if the stream is closed without any."""
    with socket.create_connection(("127.0.0.1", target.port), WAIT) as stream:
        stream.sendall(data)
        try:
            return stream.recv(65_536)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("xx", [True, False], ids=["XX", "IK"])
def test_who_has_the_key_is_answered_on_both_transports(
    target: Target, datagrams: socket.socket, *, xx: bool
) -> None:
    """The same scripts that strangers run below do work with the right key."""
    packet = init_datagram(right_key(), target, xx=xx)

    assert len(udp_answer(datagrams, packet, target)) > 100
    assert len(tcp_answer(right_key(), target, xx=xx)) > 100


@pytest.mark.parametrize("xx", [True, False], ids=["XX", "IK"])
@pytest.mark.parametrize("keys", STRANGERS)
def test_a_stranger_receives_nothing_by_datagram(
    target: Target, datagrams: socket.socket, keys: Callable[[], MeshKeys], *, xx: bool
) -> None:
    """Another key, no key, another namespace: 0 bytes, and the packet is counted."""
    packet = init_datagram(keys(), target, xx=xx)
    before = target.node.stats().get("datagram_dropped", 0)

    assert udp_answer(datagrams, packet, target) == b""
    assert target.node.stats()["datagram_dropped"] > before


@pytest.mark.parametrize("xx", [True, False], ids=["XX", "IK"])
@pytest.mark.parametrize("keys", STRANGERS)
def test_a_stranger_receives_nothing_by_stream(
    target: Target, keys: Callable[[], MeshKeys], *, xx: bool
) -> None:
    """The stream is closed without a word."""
    assert tcp_answer(keys(), target, xx=xx) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"m2p\x02\x00\x01" + bytes(200),
        b"m2p\x01\xff\x01" + bytes(200),
        b"m2p\x01\x00\x01\xff\xff" + bytes(200),
        b"m2p\x01\x00\x01\x00\x60" + bytes(200),
        os.urandom(4_000),
    ],
    ids=["http", "tls", "version", "flags", "length", "zeros", "noise"],
)
def test_garbage_on_a_stream_is_cut_off_and_hurts_nobody(
    start: Start, target: Target, data: bytes
) -> None:
    """Whatever connects and talks is dropped; members go on calling."""

    @capability("greet")
    def greet() -> str:
        return "hello"

    alice = start("alice", capabilities=[greet])
    know_each_other(alice, target.node)

    assert raw_tcp_answer(data, target) == b""

    assert target.node.call("greet", timeout=5) == "hello"
    assert target.node.stats()["stream_dropped"] == 1


def test_garbage_datagrams_hurt_nobody(target: Target, datagrams: socket.socket) -> None:
    """A thousand of them are counted, and the right packet after them is answered."""
    before = target.node.stats().get("datagram_dropped", 0)
    for size in range(250):
        for first in (b"", b"\x11", b"\x14", b"\x19"):
            datagrams.sendto(first + os.urandom(size), ("127.0.0.1", target.port))

    assert udp_answer(datagrams, b"", target) == b""
    counted = target.node.stats()
    seen = counted["datagram_dropped"] + counted.get("datagram_unknown", 0) - before
    assert seen > 500  # the kernel may drop some of so many


def test_a_recording_of_a_handshake_gives_nobody_a_session(
    target: Target, datagrams: socket.socket
) -> None:
    """A copied first packet draws a copy of the answer, which only its owner can read."""
    packet = init_datagram(right_key(), target, xx=False)
    first = udp_answer(datagrams, packet, target)
    with socket.socket(type=socket.SOCK_DGRAM) as thief:
        second = udp_answer(thief, packet, target)

    assert second == first
    with pytest.raises(WireError):
        Trust(OpenSSL(), right_key()).verify_chain_untrusted(second, time.time())


# --- what somebody reads who listens on the wire ------------------------------------------


@pytest.fixture
def taps() -> Iterator[list[Tap]]:
    """Closed at the end."""
    opened: list[Tap] = []
    yield opened
    for tap in opened:
        tap.close()


def test_nothing_of_a_call_is_readable_on_the_wire(start: Start, taps: list[Tap]) -> None:
    """Neither payload nor answer, handle or capability is among the bytes of any socket."""
    handle, name = f"h{secrets.token_hex(8)}", f"c{secrets.token_hex(8)}"
    question, answer = f"q{secrets.token_hex(16)}", f"a{secrets.token_hex(16)}"

    @capability(name)
    def secret(asked: str) -> list[str]:
        return [answer, asked] * 100

    ports = [free_port(), free_port()]
    taps += [Tap(port) for port in ports]
    bob = start(
        handle,
        capabilities=[secret],
        bind=f"127.0.0.1:{ports[0]}",
        advertise=taps[0].address,
        discovery=(),
    )
    alice = start(
        f"{handle}2",
        bind=f"127.0.0.1:{ports[1]}",
        advertise=taps[1].address,
        seeds=[taps[0].address],
        discovery=(),
    )
    know_each_other(alice, bob)
    eventually(lambda: alice.members(name))

    assert alice.call(name, question) == [answer, question] * 100
    bob.send(f"@{handle}2", {"note": question})
    eventually(lambda: all(member.rtt for member in alice.members(name)), within=10)

    heard = bytes(taps[0].heard + taps[1].heard)
    assert len(heard) > 7_000
    for text in (handle, name, question, answer, alice.id, bob.id):
        assert text.encode() not in heard


def test_the_listener_on_the_wire_does_hear(taps: list[Tap]) -> None:
    """What is sent in clear through the same tap is found, by datagram and by stream."""
    marker = secrets.token_hex(16).encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        taps.append(Tap(server.getsockname()[1]))
        with socket.create_connection(("127.0.0.1", taps[0].port)) as client:
            client.sendall(b"stream " + marker)
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(100) == b"stream " + marker
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"datagram " + marker, ("127.0.0.1", taps[0].port))
        eventually(lambda: b"datagram " + marker in taps[0].heard)

    assert b"stream " + marker in taps[0].heard
