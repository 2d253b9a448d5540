"""Guests only look, and two namespaces are silent to each other."""

from __future__ import annotations

from meshp2p.consensus import AwardData, VoteResult
from meshp2p.effects import Invoke, StreamReady
from meshp2p.events import CallFinished
from meshp2p.ids import Address, NodeId
from meshp2p.simulation.handlers import Ran
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Glimpse, Lookout, Outlook
from meshp2p.simulation.nodes import Node


class GuestsOnlyLook(Invariant):
    """Guests: never gossiped, probed, counted, elected or awarded."""

    name = "guests"
    promise = "A guest is no member: nobody lists it, asks whether it is there, or gives it work."

    def __init__(self, lookout: Lookout) -> None:
        """No guest has come."""
        super().__init__(lookout)
        self._doors: set[Address] = set()
        lookout.on_look.append(self._look)
        lookout.on_row.append(self._row)
        lookout.hear(Invoke, self._invoke)
        lookout.hear(CallFinished, self._finished)

    def _look(self, outlook: Outlook) -> None:
        if outlook.node.is_guest:
            if not self._doors:
                self.world.on_datagram.append(self._sent)
            self._doors.add(outlook.node.address)

    def _sent(self, sender: Node, to: Address, _data: bytes) -> None:
        if to in self._doors and not sender.is_twin and self.lookout.is_honest(sender.id):
            self.violate(f"{sender.name} sends a guest a datagram", sender.name)

    def _row(
        self, outlook: Outlook, member: NodeId, _before: Glimpse | None, after: Glimpse | None
    ) -> None:
        if after is not None and self._is_guest(member) and member != outlook.node.id:
            who = self.call(member)
            self.violate(f"{outlook.name} lists {who}, which is a guest", outlook.name, who)

    def _invoke(self, outlook: Outlook, effect: Invoke) -> None:
        if outlook.node.is_guest:
            self.violate(f"{outlook.name}, a guest, is given {effect.method!r}", outlook.name)

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        chosen: list[NodeId] = []
        if isinstance(event.value, AwardData):
            chosen = [event.value.winner]
        elif isinstance(event.value, VoteResult):
            chosen = [each.id for each in event.value.certificate.proposal.electors]
        for member in filter(self._is_guest, chosen):
            who = self.call(member)
            self.violate(f"{who}, a guest, was chosen by {outlook.name}", outlook.name, who)

    def _is_guest(self, member: NodeId) -> bool:
        node = self.lookout.node_of(member)
        return node is not None and node.is_guest


class NamespacesApart(Invariant):
    """Namespaces: strangers to each other, who get no answer, not even a refusal."""

    name = "namespaces"
    promise = "Nodes of two namespaces neither list each other nor answer each other."

    def __init__(self, lookout: Lookout) -> None:
        """All that is known is of one."""
        super().__init__(lookout)
        self._homes: set[tuple[bytes, str]] = set()
        """Mesh and namespace of all who were looked at."""
        lookout.on_look.append(self._look)
        lookout.on_row.append(self._row)
        self.world.on_running.append(self._handler_begins)

    def _look(self, outlook: Outlook) -> None:
        keys = outlook.node.keys
        home = (keys.mesh_id, keys.namespace)
        if home not in self._homes:
            self._homes.add(home)
            if len(self._homes) == 2:  # noqa: PLR2004  # from now on there is somebody to be told
                self.world.on_datagram.append(self._sent)
                self.lookout.hear(StreamReady, self._writes)

    def _sent(self, sender: Node, to: Address, _data: bytes) -> None:
        other = self.world.at(to)
        if other is not None and not sender.is_twin:
            self._speaks(sender, other)

    def _writes(self, outlook: Outlook, effect: StreamReady) -> None:
        end = outlook.node.streams.get(effect.stream)
        other = None if end is None else self.world.nodes.get(end.lane.link[1])
        if other is not None:
            self._speaks(outlook.node, other)

    def _speaks(self, node: Node, other: Node) -> None:
        """Whoever was told of an address may try it; nobody else knows it but by being asked."""
        if not self._are_strangers(node, other) or not self.lookout.is_honest(node.id):
            return
        if (other.address.host, other.address.port) not in node.origins.seeds:
            text = f"{node.name} answers {other.name}, which is of another namespace"
            self.violate(text, node.name, other.name)

    def _row(
        self, outlook: Outlook, member: NodeId, _before: Glimpse | None, after: Glimpse | None
    ) -> None:
        node = self.lookout.node_of(member)
        if after is not None and node is not None and self._are_strangers(outlook.node, node):
            text = f"{outlook.name} lists {node.name}, which is of another namespace"
            self.violate(text, outlook.name, node.name)

    def _handler_begins(self, node: Node, job: Ran) -> None:
        caller = self.lookout.node_of(job.caller)
        if caller is not None and self._are_strangers(node, caller):
            text = f"{node.name} runs {job.method!r} for {caller.name}, of another namespace"
            self.violate(text, node.name, caller.name)

    @staticmethod
    def _are_strangers(one: Node, other: Node) -> bool:
        """By what they are called: that their keys differ is what is to be seen."""
        return one.keys is not other.keys
