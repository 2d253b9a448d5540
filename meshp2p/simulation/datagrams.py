"""Datagrams between nodes as UDP brings them: perhaps, in any order, refused by a dead socket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from meshp2p.ids import Address

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World


_Sent: TypeAlias = "tuple[Node, int, Address]"
"""Who sent a datagram, in which life, and whereto."""


class Datagrams:
    """All datagrams of a world."""

    def __init__(self, world: World) -> None:
        """None was sent."""
        self._world = world

    def send(self, sender: Node, to: Address, data: bytes) -> None:
        """One leaves a socket."""
        world = self._world
        for look in world.on_datagram:
            look(sender, to, data)
        number = world.packets = world.packets + 1
        found = world.find(sender, to, datagram=True)
        target, source = found if found is not None else (None, to)
        if world.watchers:
            name = target.name if target is not None else str(to)
            what, size = "datagram", len(data)
            world.tell("send", sender.name, to=name, what=what, len=size, id=number)
            if found is None:
                world.tell("drop", sender.name, to=name, what=what, len=size, id=number, why="nat")
        if target is not None:
            sent = (sender, sender.life, to)
            arrive = partial(self._arrive, target, target.address, data, source, number, sent)
            world.links.send_datagram((sender.name, target.name), arrive, len(data))

    def _arrive(
        self, target: Node, at: Address, data: bytes, source: Address, number: int, sent: _Sent
    ) -> None:
        world, sender = self._world, sent[0]
        if target.address != at:
            world.tell("drop", sender.name, to=target.name, what="datagram", id=number, why="moved")
        elif target.is_running:
            target.process.feed_datagram(data, source, sender.name, number)
        elif target.has_power:
            back = (target.name, sender.name)
            world.tell("refuse", target.name, what="datagram", to=back[1], id=number)
            world.links.send_datagram(back, partial(self._refuse, *sent))

    def _refuse(self, sender: Node, life: int, to: Address) -> None:
        """ICMP reaches whoever sent to a closed port, if that process is still there."""
        if sender.life == life:
            sender.feed(lambda engine, now: engine.datagram_refused(to, now=now))

    def smuggle(self, sender: str, to: Node, source: Address, data: bytes) -> None:
        """One that no engine sent: somebody made it up, or kept a copy."""
        world = self._world
        number = world.next_packet()
        if world.watchers:
            what, size = "datagram", len(data)
            world.tell("send", sender, to=to.name, what=what, len=size, id=number)

        def arrive() -> None:
            if to.is_running:
                to.process.feed_datagram(data, source, sender, number)

        world.links.send_datagram((sender, to.name), arrive, len(data))
