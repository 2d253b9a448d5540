"""Nodes that exchange datagrams without sockets: every loss is chosen, time stands still."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import attrs

from meshp2p.config import Config, lan
from meshp2p.errors import WireError
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import Address, NodeId
from meshp2p.transport import packet
from meshp2p.transport.endpoint import Endpoint
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.path import Path, Route, Via
from tests.issuing import NOW
from tests.unit.transport.pair import door_of

_KINDS = {packet.INIT: "INIT", packet.RESP: "RESP", packet.FINISH: "FINISH", packet.DATA: "DATA"}
_PRIME = (1 << 61) - 1


def kind_of(data: bytes) -> str:
    """INIT, RESP, FINISH or DATA."""
    return _KINDS[data[0]]


class CheapCrypto(OpenSSL):
    """Signatures and exchanges that prove nothing and cost nothing: for thousands of nodes."""

    def sign(self, private: bytes, data: bytes) -> bytes:
        """Anyone could."""
        return hashlib.sha512(self.signing_public(private) + data).digest()

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `sign` made it."""
        return hashlib.sha512(public + data).digest() == signature

    def signing_public(self, private: bytes) -> bytes:
        """No secret at all."""
        return hashlib.sha256(private).digest()

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """Diffie and Hellman's, in a field of 61 bits."""
        power = int.from_bytes(private, "big") % _PRIME
        return pow(int.from_bytes(public, "big"), power, _PRIME).to_bytes(32, "big")

    def exchange_public(self, private: bytes) -> bytes:
        """The public half."""
        return self.exchange(private, (3).to_bytes(32, "big"))


@attrs.define(eq=False)
class Node:
    """One node: its endpoint, where it listens, and what it heard."""

    door: Doorkeeper
    endpoint: Endpoint
    address: Address
    heard: list[tuple[str, bytes]] = attrs.field(factory=list)
    refused: list[str] = attrs.field(factory=list)

    @property
    def id(self) -> NodeId:
        """Its node id."""
        return self.door.identity.node_id

    @property
    def name(self) -> str:
        """Its handle."""
        return self.door.identity.handle

    @property
    def said(self) -> list[bytes]:
        """What others told it, in order."""
        return [plaintext for _, plaintext in self.heard]


@attrs.frozen
class Sent:
    """One datagram that left."""

    sender: Node
    path: Path
    peer: NodeId | None
    data: bytes

    @property
    def kind(self) -> str:
        """INIT, RESP, FINISH or DATA."""
        return kind_of(self.data)


def along(route: Route) -> Callable[[NodeId], Route]:
    """The one way to whoever is asked for."""
    return lambda _peer: route


class Net:
    """All nodes, and the one clock."""

    def __init__(self, *names: str, config: Config | None = None) -> None:
        """Everybody named joins."""
        self.config = config or lan()
        self.now = 1_000.0
        self.nodes: list[Node] = []
        self.log: list[Sent] = []
        self.is_lost: Callable[[Sent], bool] = lambda _: False
        for name in names:
            self.join(door_of(name))

    def join(self, door: Doorkeeper) -> Node:
        """Somebody new."""
        door.wall_offset -= self.now
        endpoint = Endpoint(
            config=self.config, door=door, rng=random.Random(f"indexes {len(self.nodes)}")
        )
        number = len(self.nodes) + 1
        address = Address(f"10.0.{number >> 8}.{number & 255}", 6374)
        node = Node(door, endpoint, address)
        self.nodes.append(node)
        return node

    def restart(self, node: Node, who: NodeIdentity) -> Node:
        """The node's process is replaced by one that listens at the same address."""
        self.nodes.remove(node)
        reborn = self.join(door_of(who, seed=2))
        reborn.address = node.address
        return reborn

    def send(
        self,
        sender: Node,
        to: Node,
        data: bytes,
        *,
        via: Node | None = None,
        route: Route | None = None,
    ) -> None:
        """Send and deliver at once; with IK unless the route says otherwise."""
        known = route or Route((to.address,), to.door.identity.transport_public)
        helper = None if via is None else via.id
        sender.endpoint.send(to.id, data, route=along(known), now=self.now, via=helper)
        self.settle()

    def settle(self) -> None:
        """Deliver until nobody has anything to send."""
        moved = True
        while moved:
            moved = False
            for node in list(self.nodes):
                for path, peer, data in node.endpoint.outputs():
                    moved = True
                    sent = Sent(node, path, peer, data)
                    self.log.append(sent)
                    if not self.is_lost(sent):
                        self._deliver(sent)

    def _deliver(self, sent: Sent) -> None:
        if isinstance(sent.path, Via):
            assert sent.peer is not None
            assert len(sent.data) <= 1_130
            receiver = next(node for node in self.nodes if node.id == sent.peer)
            self.give(receiver, sent.data, sent.path)
            return
        for node in self.nodes:
            if node.address == sent.path:
                self.give(node, sent.data, sent.sender.address)

    def give(self, node: Node, data: bytes, path: Path) -> None:
        """A datagram reaches a node, from wherever."""
        try:
            received = node.endpoint.receive_untrusted(data, path, now=self.now)
        except WireError as error:
            node.refused.append(str(error))
        else:
            if received is not None:
                name = next(n.name for n in self.nodes if n.id == received.peer)
                node.heard.append((name, received.plaintext))

    def pass_time(self, seconds: float) -> None:
        """Let every deadline come in its turn."""
        end = self.now + seconds
        while (soonest := min(n.endpoint.next_deadline() for n in self.nodes)) <= end:
            self.now = max(self.now, soonest)
            for node in self.nodes:
                node.endpoint.receive_deadline(now=self.now)
                assert node.endpoint.next_deadline() > self.now
            self.settle()
        self.now = end

    def kinds(self, sender: Node | None = None) -> list[str]:
        """What was sent, by everybody or by one."""
        return [sent.kind for sent in self.log if sender in (None, sent.sender)]

    def last(self, kind: str) -> Sent:
        """The newest datagram of a kind."""
        return next(sent for sent in reversed(self.log) if sent.kind == kind)


def cheap_door(name: str) -> Doorkeeper:
    """A member of a mesh where cryptography is a pretence."""
    crypto = CheapCrypto()
    keys = MeshKeys.from_easy_key(b"cheap".ljust(32, b"."), "default", crypto)
    who = NodeIdentity.self_issued(
        crypto,
        keys,
        node_private=name.encode().ljust(32, b"-"),
        transport_private=name.encode().ljust(32, b"-"),
        journal_id=bytes(16),
        handle=name,
        role="worker",
        unix=NOW,
    )
    return door_of(who, crypto=crypto)
