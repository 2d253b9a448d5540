"""The driver on real sockets, with an engine that only says what it is given to say."""

from __future__ import annotations

import math
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import cast

import pytest
import trio
import trio.testing

from meshp2p.effects import (
    CloseStream,
    Effect,
    Invoke,
    OpenStream,
    Record,
    Resolve,
    SendDatagram,
    StreamId,
    StreamReady,
)
from meshp2p.engine import Engine
from meshp2p.ids import Address
from meshp2p.runtime.driver import Driver
from meshp2p.runtime.network import Network, bind

pytestmark = pytest.mark.timeout(20)

MORE_THAN_A_SOCKET_HOLDS = 16 << 20


_CALLERS: ContextVar[str] = ContextVar("caller's", default="")


class Script:
    """Stands in for an engine: its effects are given to it, and it keeps what it is told."""

    open_requests = 0

    def __init__(self) -> None:
        """It wants nothing yet."""
        self.wanted: list[Effect] = []
        self.outgoing = b""
        self.opened = trio.Event()
        self.opened_with = ""
        self.closed: list[tuple[StreamId, str]] = []
        self.heard_of_end = trio.Event()
        self.resolved = trio.Event()
        self.due = math.inf
        self.woken: list[float] = []

    def want(self, *effects: Effect) -> None:
        """Ask for these next."""
        self.wanted += effects

    def effects(self) -> list[Effect]:
        """As an engine."""
        wanted, self.wanted = self.wanted, []
        return wanted

    def next_deadline(self) -> float:
        """As told."""
        return self.due

    def receive_deadline(self, *, now: float) -> None:
        """Whatever was due is done."""
        self.woken.append(round(now, 3))
        self.due = math.inf

    def begin(self, *_: object, **__: object) -> None:
        """As an engine."""

    receive_wall_clock = receive_stream = begin

    def stream_bytes(self, _stream: StreamId, at_most: int, **_: object) -> bytes:
        """As an engine."""
        data, self.outgoing = self.outgoing[:at_most], self.outgoing[at_most:]
        return data

    def stream_opened(self, _stream: StreamId, **_: object) -> None:
        """As an engine."""
        self.opened_with = _CALLERS.get()
        self.opened.set()

    def stream_closed(self, stream: StreamId, reason: str, **_: object) -> None:
        """As an engine."""
        self.closed.append((stream, reason))
        self.heard_of_end.set()

    def receive_resolved(
        self, _host: str, _port: int, addresses: list[Address], **_: object
    ) -> None:
        """As an engine."""
        assert addresses == []
        self.resolved.set()


class Nothing:
    """No disk and no handlers."""

    def start_writing(self, token: int, records: tuple[Record, ...]) -> None:
        """Never asked to."""

    def start(self, invoke: Invoke) -> None:
        """Never asked to."""

    def cancel(self, call: int) -> None:
        """Never asked to."""


async def look_up(_host: str, _port: int) -> list[Address]:
    """There is no thread to look it up in."""
    await trio.lowlevel.checkpoint()
    raise RuntimeError("can't start new thread")


_made: list[Driver] = []


@pytest.fixture(autouse=True)
def _closed_drivers() -> Iterator[None]:
    """Sockets outlive `run`, for a goodbye; whoever made a driver closes it."""
    yield
    while _made:
        _made.pop().abandon()


def driver_of(script: Script, network: Network | None = None) -> Driver:
    """A driver of this script, on loopback unless told."""
    driver = Driver(
        cast("Engine", script),
        network=network or bind(["127.0.0.1"], 0),
        journal=Nothing(),
        runner=Nothing(),
        resolve=look_up,
        announce=lambda _: None,
        wall=lambda: 0.0,
    )
    _made.append(driver)
    return driver


@contextmanager
def peer() -> Iterator[tuple[socket.socket, Address]]:
    """A listener that accepts when it likes, with the smallest buffer there is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        yield listener, Address(*listener.getsockname())


def read_all(listener: socket.socket) -> int:
    """Accept, and count bytes until the end; in a thread."""
    connection, _ = listener.accept()
    with connection:
        return read_rest(connection)


def read_rest(connection: socket.socket) -> int:
    """Count bytes until the end; in a thread."""
    connection.setblocking(True)  # noqa: FBT003  # its only argument
    count = 0
    while data := connection.recv(1 << 20):
        count += len(data)
    return count


@contextmanager
def without_descriptors() -> Iterator[None]:
    """This process can open nothing meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def open_stream(script: Script, driver: Driver, to: Address) -> None:
    """Have the script connect."""
    script.want(OpenStream(1, to))
    driver.perform_effects()
    await script.opened.wait()


def test_what_this_machine_does_not_send_is_counted() -> None:
    """A datagram that the kernel refuses, as it does without a network, is no silent loss."""
    script = Script()
    driver = driver_of(script)
    nobody = Address("127.255.255.255", 9)  # a broadcast, which an ordinary socket may not send
    script.want(SendDatagram(nobody, b"hello"), SendDatagram(nobody, b"again"))
    driver.perform_effects()
    assert driver.datagrams_unsent == 2


def test_what_no_socket_of_this_machine_leads_to_is_counted() -> None:
    """Without IPv6 there is no way to an address of that family."""
    script = Script()
    driver = driver_of(script, Network({}, [], ()))
    script.want(SendDatagram(Address("::1", 9), b"hello"))
    driver.perform_effects()
    assert driver.datagrams_unsent == 1


def test_a_connection_knows_nothing_of_whoever_had_it_opened() -> None:
    """It outlives the command: what a caller has in its context must not stay there."""

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        with peer() as (_, address):
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                context = copy_context()
                context.run(_CALLERS.set, "a trace of the caller's")
                script.want(OpenStream(1, address))
                context.run(driver.perform_effects)
                await script.opened.wait()
                nursery.cancel_scope.cancel()
        assert script.opened_with == ""

    trio.run(main)


def test_what_was_queued_arrives_though_the_socket_was_full() -> None:
    """A stream that is closed after its last words says them, even to a slow reader."""

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        with peer() as (listener, address):
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                await open_stream(script, driver, address)
                script.outgoing = bytes(MORE_THAN_A_SOCKET_HOLDS)
                script.want(StreamReady(1), CloseStream(1, flush=True))
                driver.perform_effects()
                received = await trio.to_thread.run_sync(read_all, listener)
                await driver.said_farewell()
                nursery.cancel_scope.cancel()
        assert received == MORE_THAN_A_SOCKET_HOLDS
        assert script.closed == []

    trio.run(main)


def test_last_words_have_time_while_somebody_listens() -> None:
    """A second without a byte taken is too long; a reader that is merely slow is waited for."""
    clock = trio.testing.MockClock()

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        with peer() as (listener, address):
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                await open_stream(script, driver, address)
                script.outgoing = bytes(MORE_THAN_A_SOCKET_HOLDS)
                script.want(StreamReady(1), CloseStream(1, flush=True))
                driver.perform_effects()
                connection, _ = listener.accept()
                with connection:
                    received = 0
                    for _ in range(3):
                        received += await read_until_more_is_written(connection, script)
                        clock.jump(0.9)
                        await trio.testing.wait_all_tasks_blocked()
                    received += await trio.to_thread.run_sync(read_rest, connection)
                nursery.cancel_scope.cancel()
        assert received == MORE_THAN_A_SOCKET_HOLDS

    trio.run(main, clock=clock)


async def read_until_more_is_written(connection: socket.socket, script: Script) -> int:
    """Take what is there, until the driver has pulled more after it."""
    waiting, count = len(script.outgoing), 0
    while len(script.outgoing) == waiting:
        await trio.lowlevel.wait_readable(connection)
        data = connection.recv(1 << 16)
        if not data:
            break
        count += len(data)
    return count


def test_nobody_waits_long_for_a_peer_that_does_not_read() -> None:
    """After a second the rest is dropped: a peer that stands still holds up no `stop`."""

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        with peer() as (_listener, address):
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                await open_stream(script, driver, address)
                script.outgoing = bytes(MORE_THAN_A_SOCKET_HOLDS)
                script.want(CloseStream(1, flush=True))
                driver.perform_effects()
                began = trio.current_time()
                await driver.said_farewell()
                assert 0.9 < trio.current_time() - began < 1.1
                nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.1))


def test_a_stream_that_is_dropped_says_no_more() -> None:
    """Without `flush` a connection ends at once, whatever is queued."""

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        with peer() as (listener, address):
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                await open_stream(script, driver, address)
                script.outgoing = bytes(MORE_THAN_A_SOCKET_HOLDS)
                script.want(CloseStream(1, flush=False))
                driver.perform_effects()
                assert await trio.to_thread.run_sync(read_all, listener) == 0
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_connection_without_descriptors_is_one_that_failed() -> None:
    """The engine hears of it as of any other, later, and all else of the turn is done."""

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        with peer() as (_listener, address):
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                script.want(OpenStream(1, address), OpenStream(3, address))
                with without_descriptors():
                    driver.perform_effects()
                assert script.closed == []
                await script.heard_of_end.wait()
                await trio.testing.wait_all_tasks_blocked()
                assert {stream for stream, _ in script.closed} == {1, 3}
                assert all("Too many open files" in reason for _, reason in script.closed)
                script.want(OpenStream(5, address))
                driver.perform_effects()
                await script.opened.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_name_is_unknown_while_looking_it_up_fails() -> None:
    """Without a thread to look it up in, it is tried again like a name that is not there."""

    async def main() -> None:
        script = Script()
        driver = driver_of(script)
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            script.want(Resolve("no.threads", 1))
            driver.perform_effects()
            await script.resolved.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_who_has_its_answer_is_not_woken_to_miss_it() -> None:
    """A deadline that is put off costs an idle node no look at anything."""
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> list[float]:
        script = Script()
        driver, began = driver_of(script), trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            for later in (1.0, 5.0, 3.0, 4.0):
                script.due = began + later
                driver.perform_effects()
            await trio.sleep(10.0)
            nursery.cancel_scope.cancel()
        return [moment - began for moment in script.woken]

    assert trio.run(main, clock=clock) == [4.0]
