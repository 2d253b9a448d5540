"""The virtual network of a simulation: whose address that is, and what lies between.

Links, latencies, losses and all faults are those of `meshp2p.simulation`, drawn from the
same numbers: the fifth datagram from alice to bob fares alike in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from meshp2p.engine import Neighbour
from meshp2p.identity.keys import Crypto
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.simulation.disk import Left
from meshp2p.simulation.happening import Fact
from meshp2p.simulation.links import Lane
from meshp2p.simulation.packets import Kind, Link
from meshp2p.simulation.routes import Box, Routes
from meshp2p.simulation.troubles import Troubles
from meshp2p.testing.connections import VirtualStream
from meshp2p.testing.datagrams import VirtualDatagrams
from meshp2p.testing.threads import SteppedThreads

if TYPE_CHECKING:
    from meshp2p.testing.machine import VirtualMachine

SHARED: Final = "::1"
"""IPv6 has one loopback address only: there, machines differ by their ports alone."""
_KERNEL: Final[Seconds] = 0.0001
"""What a packet that leaves no machine takes."""


@attrs.define(eq=False)
class _Sent:
    """A datagram under way; made for each, so it is not frozen, which takes five times as long.

    Args:
        to: Where it was sent; boxes may make another place of it.
        place: Whose socket it reaches.
        seen: From where it seems to come.
    """

    sender: VirtualDatagrams
    data: bytes
    to: Address
    place: Address
    seen: Address
    number: int


class _Routes(Routes):
    """As `Routes`; who is behind a box has no IPv6."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Counter[str] = Counter()
        """How many boxes each host is behind."""

    def put_behind(self, host: str, box: Box) -> None:
        self.hidden[host] += 1
        super().put_behind(host, box)

    def take_out(self, host: str, box: Box) -> None:
        self.hidden[host] -= 1
        super().take_out(host, box)


class Internet(Troubles):
    """Machines, their addresses, and the links between them.

    Args:
        crypto: What every node calculates with.
    """

    def __init__(self, seed: int, crypto: Crypto) -> None:
        """Nobody is there."""
        super().__init__(seed, None)
        self.crypto = crypto
        self.threads = SteppedThreads()
        self.routes = self._hiding = _Routes()
        self.machines: dict[str, VirtualMachine] = {}
        self.neighbourhoods: dict[tuple[bytes, str], dict[NodeId, Neighbour]] = {}
        """Local directories: by group id and place, who published itself there."""
        self.before_move: list[Callable[[], None]] = []
        """Called whenever all tasks wait and time is about to move."""
        self._hosts: dict[str, VirtualMachine] = {}
        self._shared: dict[Address, VirtualMachine] = {}

    # --- time ------------------------------------------------------------------------

    @property
    def next_at(self) -> Seconds:
        """When the next thing happens; infinity for never."""
        return self._heap[0][0] if self._heap else inf

    def move_to(self, when: Seconds) -> None:
        """Let time pass, and all happen that is due by then."""
        for look in self.before_move:
            look()
        self.run_to(when)

    def look(self) -> None:
        """Have the checks look."""
        for look in self.before_move:
            look()

    # --- who is where --------------------------------------------------------------

    def add(self, machine: VirtualMachine) -> None:
        """Give a machine its addresses."""
        self.machines[machine.name] = machine
        for host in machine.hosts:
            if host != SHARED:
                self._hosts[host] = machine

    def owner(self, address: Address) -> VirtualMachine | None:
        """Whose address that is, or was."""
        if address.host == SHARED:
            return self._shared.get(address)
        return self._hosts.get(address.host)

    def claim(self, address: Address, machine: VirtualMachine) -> None:
        """A port of the shared address is this machine's from now on."""
        if address.host == SHARED:
            self._shared[address] = machine

    # --- what faults ask for ---------------------------------------------------------

    def __getitem__(self, name: str) -> VirtualMachine:
        """The machine of that agent."""
        return self.machines[name]

    def crash(self, machine: VirtualMachine, *, silent: bool = False, disk: Left) -> None:
        """End a process without a word; `silent`: its machine goes with it."""
        machine.crash(silent=silent, disk=disk)

    def restart(self, machine: VirtualMachine) -> None:
        """Start its agent again, with the disk as it was left."""
        self.coverage["restart"] += 1
        self.tell("restart", machine.name, life=machine.life + 1)
        machine.start_again()

    def leave(self, machine: VirtualMachine) -> None:
        """Stop its agent in order."""
        machine.leave()

    def pause(self, machine: VirtualMachine) -> None:
        """Let a process stand still; pauses nest."""
        machine.pause()

    def resume(self, machine: VirtualMachine) -> None:
        """Let it go on."""
        machine.resume()

    # --- datagrams -------------------------------------------------------------------

    def send_datagram(self, sender: VirtualDatagrams, data: bytes, to: Address) -> None:
        """A datagram leaves a socket."""
        machine = sender.process.machine
        if machine.is_standing:
            machine.outbox.append(lambda: self.send_datagram(sender, data, to))
            return
        for look in self.on_datagram:
            look(cast("Any", machine), to, data)
        number, name = self.next_packet(), machine.name
        if self.routes.is_plain:
            routed: tuple[Address, Address] | None = (to, sender.address)
        else:
            routed = self._route(sender.address, to, datagram=True)
        target = None if routed is None else self.owner(routed[0])
        if self.watchers:
            named = str(to) if target is None else target.name
            self.tell("send", name, to=named, what="datagram", len=len(data), id=number)
        if routed is None:
            self._lost((name, str(to)), "datagram", len(data), "nat")
        elif target is not None:
            sent = _Sent(sender, data, to, *routed, number)
            link = (name, target.name)
            self.links.send_datagram(link, partial(self._arrives, sent, target), len(data))

    def _arrives(self, sent: _Sent, target: VirtualMachine) -> None:
        if not target.has_power:
            return
        sock = target.datagram_socket(sent.place)
        if sock is None:
            back = (target.name, sent.sender.process.name)
            self.tell("refuse", target.name, what="datagram", to=back[1], id=sent.number)
            self.links.send_datagram(back, lambda: sent.sender.refuse(sent.to), 0)
            return
        wait = target.busy() if target.slowness else 0.0
        if wait:
            self.after(wait, lambda: self._deliver(sent, sock, target))
        else:
            self._deliver(sent, sock, target)

    def _deliver(self, sent: _Sent, sock: VirtualDatagrams, target: VirtualMachine) -> None:
        if not sock.is_open:
            return
        data, sender = sent.data, sent.sender.process.name
        if not sock.arrive(data, sent.seen):
            self._lost((sender, target.name), "datagram", len(data), "queue")
            return
        self.note(cast("Any", target), "datagram", data)
        if self.watchers:
            detail: dict[str, Fact] = {"from": sender, "what": "datagram"}
            self.tell("recv", target.name, **detail, len=len(data), id=sent.number)

    def _route(
        self, source: Address, to: Address, *, datagram: bool
    ) -> tuple[Address, Address] | None:
        if self.routes.is_plain:
            return to, source
        if ":" in to.host:
            ends = (self.owner(source), self.owner(to))
            hidden = any(end is not None and self._hiding.hidden[end.loopback] for end in ends)
            return None if hidden else (to, source)
        return self.routes.route(source, to, self.now, datagram=datagram)

    # --- streams -----------------------------------------------------------------------

    def connect(self, stream: VirtualStream, to: Address) -> None:
        """A SYN goes out; the stream hears of its end, or of nothing."""
        machine = stream.process.machine
        routed = self._route(stream.address, to, datagram=False)
        if routed is None:
            self._lost((machine.name, str(to)), "segment", 0, "nat")
            return
        place, seen = routed
        target = self.owner(place)
        if target is None:
            own = Lane((machine.name, machine.name))
            self._send(machine, own, lambda: self.after(_KERNEL, stream.refuse), 0)
            return
        stream.lane.link = (machine.name, target.name)
        self._send(machine, stream.lane, lambda: self._syn_arrives(stream, place, seen, target), 0)

    def _syn_arrives(
        self, stream: VirtualStream, place: Address, seen: Address, target: VirtualMachine
    ) -> None:
        if not (target.has_power and stream.is_open):
            return  # the engine's own patience ends it, or has ended it already
        lane = Lane((target.name, stream.process.name))
        listener = target.listener(place)
        if listener is None:
            self.tell("refuse", target.name, what="stream", to=stream.process.name)
            self.links.send_in_order(lane, stream.refuse)
            return
        other = VirtualStream(listener.process, place, listener.process.next_accepted())
        other.lane = lane
        if not listener.arrive(other, seen):
            return
        listener.process.remember(other)
        other.stand(stream)
        self.links.send_in_order(lane, lambda: self._syn_acknowledged(stream, other))

    @staticmethod
    def _syn_acknowledged(stream: VirtualStream, other: VirtualStream) -> None:
        stream.stand(other)
        if stream.is_open:
            stream.opened()
        else:
            other.reset()

    def send_segment(self, stream: VirtualStream, deliver: Callable[[], None], size: int) -> None:
        """Something goes to the other end of a stream, after all that went before."""
        self._send(stream.process.machine, stream.lane, deliver, size)

    def _send(
        self, machine: VirtualMachine, lane: Lane, deliver: Callable[[], None], size: int
    ) -> None:
        if machine.is_standing:
            machine.outbox.append(lambda: self._send(machine, lane, deliver, size))
        else:
            self.links.send_in_order(lane, deliver, size)

    def note_stream(self, stream: VirtualStream, piece: bytes, number: int) -> None:
        """Bytes reach an end of a stream."""
        machine = stream.process.machine
        self.note(cast("Any", machine), "stream", piece)
        if self.watchers:
            detail: dict[str, Fact] = {"from": stream.lane.link[1], "what": "stream"}
            self.tell("recv", machine.name, **detail, len=len(piece), id=number)

    def tell_piece(self, stream: VirtualStream, size: int) -> int:
        """Bytes leave an end of a stream; the number under which watchers know them."""
        number = self.next_packet()
        if self.watchers:
            name, other = stream.lane.link
            self.tell("send", name, to=other, what="stream", len=size, id=number)
        return number

    # --- what others hear ----------------------------------------------------------------

    def _lost(self, link: Link, kind: Kind, size: int, why: str) -> None:
        self.coverage[why] += 1
        self._dropped(link, kind, size, why)
