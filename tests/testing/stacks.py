"""The kernel's sockets and the virtual ones behind one face, for tests that both must pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import pytest
import trio

from meshp2p.ids import Address
from meshp2p.runtime import network
from meshp2p.runtime.ports import DatagramPort, ListenerPort, NetworkPort, StreamPort
from meshp2p.testing import Simulation
from meshp2p.testing import run as run_simulated
from meshp2p.testing.machine import VirtualMachine

HOSTS = ("127.0.0.1", "::1")


class Stack(Protocol):
    """Somewhere to bind sockets."""

    host: str
    streams: list[StreamPort]
    """Closed at the end of the test."""

    def bind(self, port: int = 0, *, fallback: bool = False) -> NetworkPort:
        """A network bound to the stack's host; the same machine each time."""
        ...


Scenario: TypeAlias = Callable[[Stack], Awaitable[None]]
Run: TypeAlias = Callable[[Scenario], None]


class KernelStack:
    """This machine's."""

    def __init__(self, host: str) -> None:
        """Loopback of one family."""
        self.host = host
        self.streams: list[StreamPort] = []
        self._networks: list[NetworkPort] = []

    def bind(self, port: int = 0, *, fallback: bool = False) -> NetworkPort:
        """As `Stack.bind`."""
        bound = network.bind([self.host], port, fallback=fallback)
        self._networks.append(bound)
        return bound

    def close(self) -> None:
        """Close what a test has left open."""
        for bound in self._networks:
            bound.close()
        for stream in self.streams:
            stream.close()


class VirtualStack:
    """One machine of a simulation."""

    def __init__(self, host: str, sim: Simulation) -> None:
        """Loopback of one family."""
        self.host = host
        self.streams: list[StreamPort] = []
        self._process = VirtualMachine(sim.internet, "here", 1).boot()

    def bind(self, port: int = 0, *, fallback: bool = False) -> NetworkPort:
        """As `Stack.bind`."""
        return self._process.bind([self.host], port, fallback=fallback)


@pytest.fixture(params=[f"{kind} {host}" for kind in ("kernel", "virtual") for host in HOSTS])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario on one of the stacks."""
    kind, host = str(request.param).split()

    def on_kernel(scenario: Scenario) -> None:
        async def main() -> None:
            stack = KernelStack(host)
            try:
                with trio.fail_after(20):
                    await scenario(stack)
            finally:
                stack.close()

        trio.run(main)

    def virtually(scenario: Scenario) -> None:
        async def main(sim: Simulation) -> None:
            await scenario(VirtualStack(host, sim))

        run_simulated(main, seeds=2, at_most=60.0)

    return on_kernel if kind == "kernel" else virtually


def datagrams(bound: NetworkPort, host: str) -> tuple[DatagramPort, Address]:
    """Its socket of that host's family, and where it is bound."""
    families = {":" in each.host: each for each in bound.addresses}
    return bound.datagrams[min(bound.datagrams) if ":" not in host else max(bound.datagrams)], (
        families[":" in host]
    )


async def arrived(sock: DatagramPort, how_many: int = 1) -> list[tuple[bytes, Address]]:
    """So many datagrams, as soon as they are there."""
    received: list[tuple[bytes, Address]] = []
    while len(received) < how_many:
        await sock.wait_readable()
        received += sock.drain(how_many - len(received))
    return received


async def connected(stack: Stack) -> tuple[StreamPort, StreamPort]:
    """Both ends of a new connection: whoever connected, and whoever accepted."""
    bob, alice = stack.bind(), stack.bind()
    (listener,) = bob.listeners
    (address,) = bob.addresses
    stream = await connect(stack, alice, address)
    return stream, await accept(stack, listener)


async def connect(stack: Stack, bound: NetworkPort, to: Address) -> StreamPort:
    """A stream that leads there."""
    stream = bound.stream_socket(to)
    stack.streams.append(stream)
    await stream.connect(to)
    return stream


async def accept(stack: Stack, listener: ListenerPort) -> StreamPort:
    """The next one who connects."""
    while True:
        await listener.wait_readable()
        somebody = listener.accept()
        if somebody is not None:
            stack.streams.append(somebody[0])
            return somebody[0]


async def received(stream: StreamPort, at_least: int) -> bytes:
    """Bytes, until there are so many or the end."""
    pieces = bytearray()
    while len(pieces) < at_least:
        try:
            data, _ = stream.receive()
        except BlockingIOError:
            await stream.wait_readable()
            continue
        if not data:
            break
        pieces += data
    return bytes(pieces)


async def send_all(stream: StreamPort, data: bytes) -> None:
    """Write all of it, waiting for room."""
    view = memoryview(data)
    while view:
        sent = stream.send(view)
        view = view[sent:]
        if not sent:
            await stream.wait_writable()
