"""Datagrams between nodes as UDP brings them: perhaps, in any order, refused by a dead socket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

from meshp2p.ids import Address

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World


@attrs.define(eq=False)
class _Sent:
    """One datagram under way.

    Args:
        source: As the receiver sees the sender.
        to: As the sender named the receiver.
        number: Of the packet in its world.
    """

    sender: Node
    source: Address
    to: Address
    data: bytes
    number: int
    life: int


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
            sent = _Sent(sender, source, to, data, number, sender.life)
            link = (sender.name, target.name)
            world.links.send_datagram(link, partial(self._arrive, sent, target), len(data))

    def _arrive(self, sent: _Sent, target: Node) -> None:
        world = self._world
        if target.is_running:
            target.process.feed_datagram(sent.data, sent.source, sent.sender.name, sent.number)
        elif target.has_power:
            back = (target.name, sent.sender.name)
            world.tell("refuse", target.name, what="datagram", to=back[1], id=sent.number)
            world.links.send_datagram(back, partial(self._refuse, sent))

    def _refuse(self, sent: _Sent) -> None:
        """ICMP reaches whoever sent to a closed port, if that process is still there."""
        if sent.sender.life == sent.life:
            sent.sender.feed(lambda engine, now: engine.datagram_refused(sent.to, now=now))

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
