"""Machines that hear each other at once, and a record of all that they said."""

from __future__ import annotations

import attrs

from meshp2p.gossip.messages import Message, Repairing, decode_untrusted
from meshp2p.gossip.outputs import Output, Pull, SendPlain, SyncWith
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId
from tests.unit.gossip.people import id_of, work_off

_LONG_TALK = 200
"""Datagrams after which people talk in circles."""


@attrs.frozen
class Said:
    """One datagram."""

    sender: str
    to: str
    size: int
    items: list[Message]


@attrs.define
class Talk:
    """Some people, by name, each with a perfect connection to each other."""

    people: dict[str, Swim]
    said: list[Said] = attrs.field(factory=list)
    streams: list[Output] = attrs.field(factory=list)

    def settle(self, now: float) -> None:
        """Let them talk until nobody has anything to say."""
        while True:
            outputs = [
                (name, output)
                for name, swim in self.people.items()
                for output in self._outputs(swim, now)
            ]
            if not any(isinstance(output, SendPlain | SyncWith | Pull) for _, output in outputs):
                return
            assert len(self.said) < _LONG_TALK
            for name, output in outputs:
                self.perform(name, output, now)

    def questions(self) -> list[str]:
        """What was said to compare views, in order; not what it brought, nor other gossip."""
        items = [item for one in self.said for item in one.items]
        return [type(item).__name__ for item in items if isinstance(item, Repairing)]

    def _outputs(self, swim: Swim, now: float) -> list[Output]:
        work_off(swim, now)
        return swim.outputs()

    def perform(self, name: str, output: Output, now: float) -> None:
        """Do what somebody's machine asks for; whoever is not here hears nothing."""
        match output:
            case SendPlain(to=to, plaintext=plaintext):
                other = self._name_of(to)
                said = Said(name, other, len(plaintext), decode_untrusted(plaintext))
                self.said.append(said)
                if other in self.people:
                    self.people[other].receive(id_of(name), plaintext, now=now)
            case SyncWith(peer=peer, buckets=int(mask)):
                self.streams.append(output)
                self._compare(name, peer, mask, now)
            case Pull(peer=peer, ids=ids):
                self.streams.append(output)
                records = self.people[self._name_of(peer)].records_of(list(ids))
                self.people[name].merge_untrusted(records, peer, now=now)
            case SyncWith():
                raise AssertionError("everything is asked for")

    def _compare(self, name: str, peer: NodeId, mask: int, now: float) -> None:
        swim, other = self.people[name], self._name_of(peer)
        records = None
        if other in self.people:
            asked = swim.comparison(mask, now=now)
            records = self.people[other].compare_untrusted(asked, id_of(name), now=now)
        swim.compared(records, mask, peer, now=now)

    def _name_of(self, node_id: NodeId) -> str:
        for name in self.people:
            if id_of(name) == node_id:
                return name
        return "nobody"
