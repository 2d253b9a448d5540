"""Virtual sockets behave as the kernel's: each promise is kept by both, over IPv4 and IPv6."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from meshp2p.errors import PortTaken
from meshp2p.ids import Address
from meshp2p.runtime.ports import DatagramPort, StreamPort
from meshp2p.wire.limits import MAX_DATAGRAM
from tests.testing.stacks import (
    Run,
    Stack,
    accept,
    arrived,
    connect,
    connected,
    datagrams,
    received,
    run,
    send_all,
)

__all__ = ["run"]

A_LOT = 8 << 20
"""More bytes than any socket buffers."""
SILENCE = 0.05
"""Seconds, real or virtual, after which nothing more comes."""


async def until_silent(socket: DatagramPort) -> list[bytes]:
    """All datagrams that come, until none has come for a while."""
    taken: list[bytes] = []
    while True:
        taken += [data for data, _ in socket.drain(64)]
        with trio.move_on_after(SILENCE) as scope:
            await socket.wait_readable()
        if scope.cancelled_caught:
            return taken


async def fails_soon(stream: StreamPort) -> None:
    """Writing fails, as soon as the other end's RST is here."""

    async def write_on() -> None:
        while True:
            stream.send(b"?")
            with trio.move_on_after(SILENCE):
                await trio.sleep_forever()

    with trio.fail_after(5), pytest.raises(BrokenPipeError):
        await write_on()


# --- datagrams -----------------------------------------------------------------------


def test_a_datagram_arrives_with_its_senders_address(run: Run) -> None:
    """Whoever receives one can answer."""

    async def scenario(stack: Stack) -> None:
        alice, alices = datagrams(stack.bind(), stack.host)
        bob, bobs = datagrams(stack.bind(), stack.host)
        alice.send_or_drop(b"hello", bobs)
        assert await arrived(bob) == [(b"hello", alices)]
        bob.send_or_drop(b"", alices)
        assert await arrived(alice) == [(b"", bobs)]

    run(scenario)


def test_a_long_datagram_is_cut_where_it_shows(run: Run) -> None:
    """One byte more than allowed is read, so that the node sees that it is too long."""

    async def scenario(stack: Stack) -> None:
        alice, _ = datagrams(stack.bind(), stack.host)
        bob, bobs = datagrams(stack.bind(), stack.host)
        alice.send_or_drop(bytes(MAX_DATAGRAM), bobs)
        alice.send_or_drop(bytes(4 * MAX_DATAGRAM), bobs)
        lengths = sorted(len(data) for data, _ in await arrived(bob, 2))
        assert lengths == [MAX_DATAGRAM, MAX_DATAGRAM + 1]

    run(scenario)


def test_what_no_datagram_can_hold_is_dropped(run: Run) -> None:
    """UDP ends at 65,507 bytes over IPv4; what is longer is counted, not raised."""

    async def scenario(stack: Stack) -> None:
        alice, _ = datagrams(stack.bind(), stack.host)
        bob, bobs = datagrams(stack.bind(), stack.host)
        alice.send_or_drop(bytes(70_000), bobs)
        alice.send_or_drop(b"small", bobs)
        assert [data for data, _ in await arrived(bob)] == [b"small"]
        assert alice.dropped == 1

    run(scenario)


def test_a_closed_port_refuses(run: Run) -> None:
    """Whose process is gone is known by the next packet, and it says which one that was."""

    async def scenario(stack: Stack) -> None:
        alice, _ = datagrams(stack.bind(), stack.host)
        gone = stack.bind()
        _, address = datagrams(gone, stack.host)
        gone.close()
        alice.send_or_drop(b"are you there", address)
        await alice.wait_readable()
        assert alice.drain(64) == []
        assert alice.refused() == [address]
        assert alice.refused() == []

    run(scenario)


def test_no_more_is_drained_than_asked_for(run: Run) -> None:
    """The rest stays."""

    async def scenario(stack: Stack) -> None:
        alice, _ = datagrams(stack.bind(), stack.host)
        bob, bobs = datagrams(stack.bind(), stack.host)
        for number in range(5):
            alice.send_or_drop(bytes([number]), bobs)
        await bob.wait_readable()
        assert len(bob.drain(1)) == 1
        await bob.wait_readable()
        rest = await until_silent(bob)
        assert len(rest) == 4

    run(scenario)


def test_a_full_buffer_drops_the_latest(run: Run) -> None:
    """Who does not read loses datagrams, and nobody waits for it."""

    async def scenario(stack: Stack) -> None:
        alice, _ = datagrams(stack.bind(), stack.host)
        bob, bobs = datagrams(stack.bind(), stack.host)
        for number in range(6_000):
            alice.send_or_drop(number.to_bytes(2, "big") + bytes(1_000), bobs)
        assert await until_silent(alice) == []  # meanwhile all that is on its way arrives
        numbers = [int.from_bytes(data[:2], "big") for data in await until_silent(bob)]
        assert 100 < len(numbers) < 6_000
        assert len(set(numbers)) == len(numbers)

    run(scenario)


def test_closing_wakes_whoever_waits_for_datagrams(run: Run) -> None:
    """A node that stops leaves no task behind."""

    async def scenario(stack: Stack) -> None:
        bound = stack.bind()
        bob, _ = datagrams(bound, stack.host)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_closed_while, bob.wait_readable)
            await trio.testing.wait_all_tasks_blocked()
            bound.close()

    run(scenario)


async def _closed_while(wait: object) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await wait()  # type: ignore[operator]  # a method of a socket


# --- streams -------------------------------------------------------------------------


def test_a_stream_carries_bytes_both_ways(run: Run) -> None:
    """Many pieces arrive as one stream of bytes: in order, none missing, none twice."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        said = b"".join(number.to_bytes(4, "big") for number in range(50_000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, alice, said)
            assert await received(bob, len(said)) == said
        await send_all(bob, b"thanks")
        assert await received(alice, 6) == b"thanks"

    run(scenario)


def test_an_accepted_stream_tells_who_connected(run: Run) -> None:
    """The host is right, the port the connecting socket's own."""

    async def scenario(stack: Stack) -> None:
        bob = stack.bind()
        (listener,), (address,) = bob.listeners, bob.addresses
        await connect(stack, bob, address)
        await listener.wait_readable()
        accepted = listener.accept()
        assert accepted is not None
        stack.streams.append(accepted[0])
        assert accepted[1].host == address.host
        assert accepted[1].port not in (0, address.port)
        assert listener.accept() is None

    run(scenario)


def test_where_nobody_listens_a_connection_is_refused(run: Run) -> None:
    """At once, and with the reason."""

    async def scenario(stack: Stack) -> None:
        gone = stack.bind()
        (address,) = gone.addresses
        gone.close()
        with pytest.raises(ConnectionRefusedError):
            await connect(stack, stack.bind(), address)

    run(scenario)


def test_nothing_to_read_is_no_end(run: Run) -> None:
    """Who asks too early is told to wait."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        for stream in (alice, bob):
            with pytest.raises(BlockingIOError):
                stream.receive()

    run(scenario)


def test_after_the_last_bytes_comes_the_end(run: Run) -> None:
    """What was written before closing arrives; then the end, as often as one asks."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        await send_all(alice, b"the last words")
        alice.close()
        assert await received(bob, 100) == b"the last words"
        assert bob.receive() == (b"", False)
        assert bob.receive() == (b"", False)

    run(scenario)


def test_who_wrote_what_was_never_read_is_told_at_once(run: Run) -> None:
    """Closing over unread bytes resets the connection: not one more byte is taken."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        await send_all(alice, b"never read")
        await bob.wait_readable()
        bob.close()
        assert await received(alice, 1) == b""
        await fails_soon(alice)

    run(scenario)


def test_who_writes_to_a_closed_end_is_told(run: Run) -> None:
    """The first bytes after it may go nowhere; soon writing fails."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        bob.close()
        assert await received(alice, 1) == b""
        assert alice.send(b"are you there") == 13
        await fails_soon(alice)

    run(scenario)


def test_a_full_stream_takes_no_more_until_it_is_read(run: Run) -> None:
    """Back-pressure: memory stays bounded, and not a byte is lost."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        sent = 0
        while sent < A_LOT and (taken := alice.send(bytes(64 * 1024))):
            sent += taken
        full = sent
        while True:  # bytes move from one buffer to the other meanwhile
            with trio.move_on_after(SILENCE) as scope:
                await alice.wait_writable()
            if scope.cancelled_caught:
                break
            full += alice.send(bytes(64 * 1024))
        assert 64 * 1024 < full < A_LOT
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.wait_writable)
            assert await received(bob, full) == bytes(full)
        assert alice.send(b"again") == 5

    run(scenario)


def test_a_stream_closed_here_wakes_whoever_waits(run: Run) -> None:
    """Before and while they wait."""

    async def scenario(stack: Stack) -> None:
        alice, bob = await connected(stack)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_closed_while, alice.wait_readable)
            await trio.testing.wait_all_tasks_blocked()
            alice.close()
        with pytest.raises(trio.ClosedResourceError):
            await alice.wait_readable()
        with pytest.raises(trio.ClosedResourceError):
            await alice.wait_writable()
        bob.close()

    run(scenario)


def test_whom_nobody_accepted_is_reset(run: Run) -> None:
    """A node that stops while others connect leaves none of them waiting."""

    async def scenario(stack: Stack) -> None:
        bob, alice = stack.bind(), stack.bind()
        (address,) = bob.addresses
        stream = await connect(stack, alice, address)
        bob.close()
        await stream.wait_readable()
        with pytest.raises(ConnectionResetError):
            stream.receive()

    run(scenario)


def test_several_connect_at_once(run: Run) -> None:
    """Each gets a stream of its own."""

    async def scenario(stack: Stack) -> None:
        bob, alice = stack.bind(), stack.bind()
        (listener,), (address,) = bob.listeners, bob.addresses

        async def say(number: int) -> None:
            await send_all(await connect(stack, alice, address), bytes([number]))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(say, number)
            heard = [await received(await accept(stack, listener), 1) for _ in range(5)]
        assert sorted(heard) == [bytes([number]) for number in range(5)]

    run(scenario)


# --- binding -------------------------------------------------------------------------


def test_a_port_is_bound_once(run: Run) -> None:
    """UDP and TCP share its number; who only wishes for it gets another."""

    async def scenario(stack: Stack) -> None:
        first = stack.bind()
        (address,) = first.addresses
        with pytest.raises(PortTaken):
            stack.bind(address.port)
        (other,) = stack.bind(address.port, fallback=True).addresses
        assert other.port != address.port
        first.close()
        assert stack.bind(address.port).addresses == (Address(address.host, address.port),)

    run(scenario)


def test_bound_to_one_family_datagrams_reach_the_other(run: Run) -> None:
    """A node on 127.0.0.1 can answer one on ::1."""

    async def scenario(stack: Stack) -> None:
        assert len(stack.bind().datagrams) == 2

    run(scenario)
