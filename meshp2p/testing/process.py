"""One life of an agent's process: what `node.machine.Machine` is in a simulation."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from meshp2p.discovery.seeds import resolve
from meshp2p.errors import PortTaken, StartError
from meshp2p.identity.keys import Crypto
from meshp2p.ids import Address, Seconds
from meshp2p.node.home import Home, identity_of, mesh_keys
from meshp2p.node.machine import MACHINE, OnWritten
from meshp2p.node.settings import Settings
from meshp2p.runtime.network import EVERYWHERE, LOOPBACK
from meshp2p.runtime.ports import ClockPort, Threads
from meshp2p.simulation import dice
from meshp2p.testing.alarm import MachineClock
from meshp2p.testing.connections import VirtualStream
from meshp2p.testing.datagrams import VirtualDatagrams
from meshp2p.testing.disks import Slot, VirtualDirectory, VirtualJournal
from meshp2p.testing.listeners import VirtualListener
from meshp2p.testing.parking import Parking
from meshp2p.testing.threads import blocking

if TYPE_CHECKING:
    from meshp2p.testing.machine import VirtualMachine

_KEY_BYTES: Final = 32
_LOOK_UP: Final[Seconds] = 0.001
"""What a resolver takes; as for engines on the heap."""
_INET: Final = {False: 2, True: 10}
"""What the driver tells address families apart by: AF_INET and AF_INET6."""


@attrs.define(eq=False)
class VirtualNetwork:
    """As `runtime.network.Network`."""

    process: Process
    datagrams: dict[int, VirtualDatagrams]
    listeners: list[VirtualListener]
    addresses: tuple[Address, ...]
    unsent: int = 0

    def send_or_drop(self, data: bytes, to: Address) -> None:
        """As `Network.send_or_drop`."""
        sock = self.datagrams.get(_INET[":" in to.host])
        if sock is None:
            self.unsent += 1
        else:
            sock.send_or_drop(data, to)

    def stream_socket(self, to: Address) -> VirtualStream:
        """As `Network.stream_socket`."""
        return self.process.stream_socket(to)

    def abandon(self) -> None:
        """As `close`: a simulation is never forked."""
        self.close()

    def close(self) -> None:
        """As `Network.close`."""
        for sock in self.datagrams.values():
            sock.close()
        for listener in self.listeners:
            listener.close()
        self.datagrams.clear()
        self.listeners.clear()


class Process:
    """From the start of an agent to its end or crash.

    Args:
        life: Which one it is, from 1.
    """

    is_simulated = True

    def __init__(self, machine: VirtualMachine, life: int) -> None:
        """Nothing runs in it yet."""
        self.machine = machine
        self.name = machine.name
        self.life = life
        self.is_alive = True
        self.monotonic: ClockPort = MachineClock(machine)
        """As `Machine.monotonic`."""
        self.scope = trio.CancelScope()
        """Around all of its agent."""
        self.datagrams: dict[Address, VirtualDatagrams] = {}
        self.listeners: dict[Address, VirtualListener] = {}
        self.streams: dict[VirtualStream, None] = {}
        self.at_end: list[Callable[[], None]] = []
        """What the kernel does for it when it ends, however it ends."""
        seed = machine.internet.seed
        self._count = 2 * life - 1
        """Engines on the heap count each end as well: so one seed gives both the same keys."""
        self._entropy = dice.entropy(seed, self.name, "entropy", self._count)
        self._dice = 0
        self._connects, self._accepts = 1, 0
        self._posted: deque[Callable[[], None]] = deque()
        self._parking = Parking()
        self._serving: trio.CancelScope | None = None

    # --- as a node sees it -------------------------------------------------------------

    @property
    def crypto(self) -> Crypto:
        """As `Machine.crypto`."""
        return self.machine.internet.crypto

    @property
    def threads(self) -> Threads:
        """As `Machine.threads`."""
        return self.machine.internet.threads

    def wall(self) -> float:
        """As `Machine.wall`."""
        if self.machine.clock.is_wrong:
            self.machine.internet.coverage["skew"] += 1
        return self.machine.clock.unix

    def entropy(self, size: int) -> bytes:
        """As `Machine.entropy`."""
        return self._entropy(size)

    def dice(self) -> random.Random:
        """As `Machine.dice`."""
        self._dice += 1
        names = () if self._dice == 1 else (self._dice,)
        seed = self.machine.internet.seed
        return random.Random(dice.secret(seed, self.name, "decisions", self._count, *names))

    def open_home(self, settings: Settings, *, unix: float, on_written: OnWritten) -> Home:
        """As `Machine.open_home`."""
        seed = self.machine.internet.seed
        keys = mesh_keys(settings, self.crypto, lambda: dice.secret(seed, "mesh", "mesh"))
        slot = None
        if not settings.ephemeral:
            slot = self.machine.slots.take(settings.handle or self.name, self)
        journal = VirtualJournal(self, slot, on_written)
        identity = identity_of(
            settings,
            self.crypto,
            keys,
            node_private=self.entropy(_KEY_BYTES) if slot is None else slot.node_private,
            transport_private=self._transport_private(slot),
            journal_id=journal.journal_id,
            unix=unix,
        )
        directory = None
        if settings.local:
            place = "loopback" if settings.hosts == LOOPBACK else self.name
            entries = self.machine.internet.neighbourhoods.setdefault((keys.group_id, place), {})
            directory = VirtualDirectory(self, entries)
        return Home(identity, journal, journal.load(), None, directory)

    def _transport_private(self, slot: Slot | None) -> bytes:
        """A new one in each life."""
        if slot is not self.machine.slots.main:
            return self.entropy(_KEY_BYTES)
        return dice.secret(self.machine.internet.seed, self.name, "transport", self._count)

    def bind(self, hosts: Sequence[str], port: int, *, fallback: bool) -> VirtualNetwork:
        """As `network.bind`."""
        own = self._own_hosts(hosts)
        if port and any(self.machine.is_taken(Address(host, port)) for host in own):
            if not fallback:
                raise PortTaken(f"port {port} of {hosts[0]} is in use on {self.name}")
            port = 0
        port = port or self.machine.free_port()
        network = VirtualNetwork(self, {}, [], tuple(Address(host, port) for host in own))
        for address in network.addresses:
            network.listeners.append(self._listen(address))
            network.datagrams[_INET[":" in address.host]] = self._bound(address)
        if all(address.is_loopback for address in network.addresses):
            self._reach_other_family(network)
        return network

    def _own_hosts(self, hosts: Sequence[str]) -> list[str]:
        """What these are on this machine."""
        loopback4, loopback6 = self.machine.loopback, LOOPBACK[1]
        ours = (loopback4, loopback6, *self.machine.public)
        names: dict[str, str] = dict(zip((*LOOPBACK, *EVERYWHERE), ours, strict=True))
        own = [names.get(host, host) for host in hosts]
        for host in own:
            if host not in self.machine.hosts:
                raise StartError(
                    f"{host!r} is not an address of {self.name}, which has {self.machine.hosts}"
                )
        return own

    def _reach_other_family(self, network: VirtualNetwork) -> None:
        for host in (self.machine.loopback, LOOPBACK[1]):
            if _INET[":" in host] not in network.datagrams:
                address = Address(host, self.machine.free_port())
                network.datagrams[_INET[":" in host]] = self._bound(address)

    def _listen(self, address: Address) -> VirtualListener:
        listener = self.listeners[address] = VirtualListener(self, address)
        self.machine.internet.claim(address, self.machine)
        return listener

    def _bound(self, address: Address) -> VirtualDatagrams:
        sock = self.datagrams[address] = VirtualDatagrams(self, address)
        self.machine.internet.claim(address, self.machine)
        return sock

    def stream_socket(self, to: Address) -> VirtualStream:
        """A socket to connect with, bound to an address from which `to` can be reached."""
        v6, local = ":" in to.host, to.is_loopback
        loopback = (self.machine.loopback, LOOPBACK[1])
        host = (loopback if local else self.machine.public)[v6]
        number, self._connects = self._connects, self._connects + 2
        stream = VirtualStream(self, Address(host, self.machine.free_port()), number)
        self.remember(stream)
        return stream

    def advertised(self, bound: Sequence[Address]) -> tuple[Address, ...]:
        """As `Machine.advertised`: `bind` has already named the addresses."""
        return tuple(bound)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """As `Machine.resolve`: names of agents are host names, and there are no others."""
        await trio.sleep(_LOOK_UP)
        machine = self.machine.internet.machines.get(host)
        if machine is not None:
            return [Address(own, port) for own in machine.public]
        return await resolve(host, port) if host[-1:].isdigit() or ":" in host else []

    def blocking(
        self, call: Callable[..., Any], call_async: Callable[..., Any]
    ) -> Callable[..., Any]:
        """As `Machine.blocking`: the thread takes turns with the loop."""
        del call
        return blocking(call_async)

    def next_accepted(self) -> int:
        """The number of the next stream that somebody opens to it."""
        self._accepts += 2
        return self._accepts

    # --- as its kernel sees it -----------------------------------------------------------

    def remember(self, stream: VirtualStream) -> None:
        """It has this stream open."""
        self.streams[stream] = None

    def forget(self, sock: VirtualDatagrams | VirtualListener | VirtualStream) -> None:
        """It has closed this socket."""
        if isinstance(sock, VirtualStream):
            self.streams.pop(sock, None)
        elif isinstance(sock, VirtualListener):
            self.listeners.pop(sock.address, None)
        else:
            self.datagrams.pop(sock.address, None)

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return not self.is_alive

    @property
    def has_open_sockets(self) -> bool:
        """Whether a node of it was not closed."""
        return bool(self.datagrams or self.listeners)

    def post(self, act: Callable[[], None]) -> None:
        """Have something done in a task of this process, soon."""
        self._posted.append(act)
        self._parking.wake()

    def begin(self) -> None:
        """Start that task; the caller's context is already this process's."""
        trio.lowlevel.spawn_system_task(self._serve, context=copy_context())

    async def _serve(self) -> None:
        MACHINE.set(self)
        with trio.CancelScope() as self._serving:
            while self.is_alive:
                while self._posted:
                    self._posted.popleft()()
                await self._parking.wait()

    def end(self, *, silent: bool = False) -> None:
        """It is over: its sockets close, or vanish with the machine if `silent`."""
        if not self.is_alive:
            return
        self.is_alive = False
        for act in self.at_end:
            act()
        for stream in list(self.streams):
            stream.crash(silent=silent)
        for listener in list(self.listeners.values()):
            listener.crash(silent=silent)
        for sock in list(self.datagrams.values()):
            sock.close()
        if self._serving is not None:
            self._serving.cancel()
