"""I9: what leaves a socket is well formed, and a stranger's address gets little of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, TypeAlias

import attrs

from meshp2p.effects import SendDatagram
from meshp2p.errors import WireError
from meshp2p.gossip.messages import FORWARD, FORWARDED, Unknown, decode_untrusted
from meshp2p.ids import Address, NodeId
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.nodes import Node
from meshp2p.transport.packet import DATA, INIT, parse_untrusted
from meshp2p.wire import limits

_DATA_HEADER: Final = 16
_AT_MOST: Final = 1
"""Bytes sent for each that came. QUIC allows 3 (RFC 9000, section 8.1), and so does I9; whoever
begins a handshake here pads it, so that no answer need be longer."""

_Life: TypeAlias = tuple[str, int]


class GoodDatagrams(Invariant):
    """I9: every datagram <= 1,200 B and parses back, what is sealed in it too."""

    name = "I9"
    promise = "Every datagram fits every path of the internet, and whoever gets it can read it."

    def __init__(self, lookout: Lookout) -> None:
        """Look at every datagram, before and after it is sealed."""
        super().__init__(lookout)
        lookout.hear(SendDatagram, self._sent)
        lookout.ears.on_sealed.append(self._sealed)

    def _sent(self, outlook: Outlook, effect: SendDatagram) -> None:
        size = len(effect.data)
        if not 0 < size <= limits.MAX_DATAGRAM:
            self.violate(f"{outlook.name} sends a datagram of {size} bytes", outlook.name)
        try:
            parse_untrusted(effect.data)
        except WireError as error:
            self.violate(f"{outlook.name} sends what nobody can read: {error}", outlook.name)

    def _sealed(self, owner: NodeId, _header: bytes, plaintext: bytes) -> None:
        if not plaintext or not self.lookout.is_honest(owner):
            return  # that the keys are in use
        try:
            items = decode_untrusted(plaintext)
        except WireError as error:
            self.violate(f"{self.call(owner)} seals what nobody can read: {error}")
        for item in items:
            if type(item) is Unknown and item.kind not in (FORWARD, FORWARDED):
                self.violate(f"{self.call(owner)} says something of kind {item.kind}")


@attrs.define(eq=False)
class _Account:
    """Bytes that came from an address which has proved nothing, and that went there."""

    came: int = 0
    went: int = 0


@attrs.define(eq=False)
class _Reading:
    """A datagram from such an address that a node looks at in one step of the world."""

    life: _Life
    source: Address
    data: bytes
    step: int

    def is_proved_by(self, bound_to: bytes | None, step: int) -> bool:
        """Whether this is what was opened: nobody but the holder of a key could have sealed it.

        That an INIT opens proves nothing: a recording of it does, whoever plays it back.
        """
        kind = self.data[0] if self.data else INIT
        if kind == DATA:
            return bound_to == self.data[:_DATA_HEADER]
        return kind != INIT and bound_to is not None and step == self.step


class Reflects(Invariant):
    """I9: unvalidated addresses get <= 3x the bytes they sent; here not even more than these.

    An address has proved itself to a node once it sent something that took a key to seal and
    that answers the node, or follows its answer. Members' own addresses are in their records,
    and nodes may try them unasked.
    """

    name = "reflects"
    promise = "Nobody can make a node send more to a victim's address than was sent in its name."

    def __init__(self, lookout: Lookout) -> None:
        """No address has proved anything."""
        super().__init__(lookout)
        self._proved: defaultdict[_Life, set[Address]] = defaultdict(set)
        self._accounts: defaultdict[tuple[_Life, Address], _Account] = defaultdict(_Account)
        self._reading: dict[NodeId, _Reading] = {}
        """By reader; of the others nothing is to be learnt from what they open."""
        self.world.on_arrival.append(self._arrives)
        lookout.ears.on_opened.append(self._opened)
        lookout.hear(SendDatagram, self._sent)

    def _arrives(self, node: Node, source: Address, data: bytes) -> None:
        life = (node.name, node.life)
        if source not in self._proved[life] and not node.is_twin:
            self._accounts[life, source].came += len(data)
            self._reading[node.id] = _Reading(life, source, data, self.world.events)

    def _opened(self, owner: NodeId, bound_to: bytes | None) -> None:
        if not self._reading:
            return
        reading = self._reading.get(owner)
        if reading is not None and reading.is_proved_by(bound_to, self.world.events):
            self._proved[reading.life].add(reading.source)
            del self._accounts[reading.life, reading.source], self._reading[owner]

    def _sent(self, outlook: Outlook, effect: SendDatagram) -> None:
        life, to = (outlook.name, outlook.life), effect.to
        if to in self._proved[life] or effect.data[:1] == bytes([INIT]):
            return
        account = self._accounts[life, to]
        account.went += len(effect.data)
        if account.went > _AT_MOST * account.came and not _is_listed(outlook, to):
            text = f"{outlook.name} has sent {account.went} bytes to {to}, which has proved "
            self.violate(f"{text}nothing, for {account.came} that came from there", outlook.name)


def _is_listed(outlook: Outlook, address: Address) -> bool:
    """Whether a member has signed that it can be reached there."""
    return any(address in row.record.body.addresses for row in inside.view_of(outlook.engine))
