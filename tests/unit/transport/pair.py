"""Two ends of a connection without a socket between them, and the doors they come through."""

from __future__ import annotations

import random
import struct

import attrs

from meshp2p.identity.credential import NODE, TRANSPORT
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys, Trust
from meshp2p.ids import Address, NodeId
from meshp2p.transport.connection import Connection
from meshp2p.transport.handshake import STREAMS, Doorkeeper
from meshp2p.transport.multiplex import AnswerArrived, Arrival, RequestArrived
from meshp2p.transport.packet import FLAG_XX
from meshp2p.transport.record import Opener, Sealer
from meshp2p.wire import codec, limits
from tests.issuing import CRYPTO, NOW, block, by_root, chain, exchanging, identity, signing

OTHER_MESH = MeshKeys.from_easy_key(b"another mesh".ljust(32, b"."), "default", CRYPTO)
OTHER_NAMESPACE = MeshKeys.from_easy_key(b"mesh key of the tests".ljust(32, b"."), "lab", CRYPTO)
"""The same mesh key as that of `tests.issuing.MESH`."""

MIB = 1024 * 1024


class LaterDoor(Doorkeeper):
    """A node of a later version, whose greeting says more."""

    def greeting(self, observed: Address | None = None) -> bytes:
        """One more element, and a feature that nobody has heard of."""
        chain, _, early, seen = codec.unpack_list_untrusted(super().greeting(observed), 4)
        return codec.pack([chain, 1 << 40, early, seen, {"new": [1, 2]}])


def member_of(keys: MeshKeys, name: str) -> NodeIdentity:
    """Somebody of another mesh or namespace."""
    return NodeIdentity.self_issued(
        CRYPTO,
        keys,
        node_private=name.encode().ljust(32, b"-"),
        transport_private=name.encode().ljust(32, b"-"),
        journal_id=bytes(16),
        handle=name,
        role="worker",
        unix=NOW,
    )


def fat(name: str) -> NodeIdentity:
    """A person of the mesh whose chain has as many bytes as a chain may have."""
    transport = block(name, TRANSPORT, exchanging(name))
    names, last = ["*"], 1
    while True:
        announces = [*names, "z" * last]
        node = by_root(NODE, signing(name), name=name, announces=announces)
        wire = chain(node, transport)
        if len(wire) == limits.MAX_CHAIN:
            return attrs.evolve(identity(name), chain=wire)
        last += 1
        if last > 50:  # far enough from 63, the longest name
            names, last = [*names, "z" * 50 + str(len(names))], 1


def door_of(
    person: str | NodeIdentity,
    *,
    crypto: Crypto = CRYPTO,
    kind: type[Doorkeeper] = Doorkeeper,
    seed: int = 1,
) -> Doorkeeper:
    """The door of a person of the mesh, or of any identity."""
    who = identity(person) if isinstance(person, str) else person
    entropy = random.Random(f"{who.handle} {seed}").randbytes
    door = kind(crypto=crypto, entropy=entropy, identity=who, trust=Trust(crypto, who.keys))
    door.wall_offset = NOW
    return door


def dial(
    door: Doorkeeper, other: Doorkeeper | None, *, rekey_bytes: int = 1 << 30, **changes: object
) -> Connection:
    """Connect to `other` with IK; to whoever is there, with XX, if None."""
    known: dict[str, object] = {"peer_id": None, "static": None}
    if other is not None:
        known = {"peer_id": other.identity.node_id, "static": other.identity.transport_public}
    facts = {"now": 0.0, "rekey_bytes": rekey_bytes, "dial": True} | known | changes
    return Connection(door, **facts)  # type: ignore[arg-type]  # facts of mixed types


def accept(door: Doorkeeper, *, rekey_bytes: int = 1 << 30) -> Connection:
    """Somebody connected."""
    return Connection(door, now=0.0, rekey_bytes=rekey_bytes, dial=False)


def carry(sender: Connection, receiver: Connection) -> list[Arrival]:
    """Bring all that one end has to say to the other; return what became whole."""
    arrivals: list[Arrival] = []
    while sender.has_bytes:
        arrivals += receiver.receive_untrusted(sender.pull(64 * 1024), now=0.0)
    return arrivals


@attrs.define
class Pair:
    """Alice, who connected, and bob, and what each has heard."""

    alice: Connection
    bob: Connection
    to_alice: list[Arrival] = attrs.field(factory=list)
    to_bob: list[Arrival] = attrs.field(factory=list)

    def run(self) -> Pair:
        """Carry bytes both ways until both are silent."""
        while self.alice.has_bytes or self.bob.has_bytes:
            self.to_bob += carry(self.alice, self.bob)
            self.to_alice += carry(self.bob, self.alice)
        return self

    def requests(self) -> list[RequestArrived]:
        """What bob was asked."""
        return [arrival for arrival in self.to_bob if isinstance(arrival, RequestArrived)]

    def answers(self) -> list[bytes]:
        """What alice was answered."""
        return [arrival.data for arrival in self.to_alice if isinstance(arrival, AnswerArrived)]

    def ask(self, data: bytes, limit: int = limits.MAX_BODY) -> int:
        """Alice asks bob."""
        return self.alice.mux.request(data, answer_limit=limit)


def pair(*, xx: bool = False, rekey_bytes: int = 1 << 30) -> Pair:
    """Two strangers about to meet."""
    alice, bob = door_of("alice"), door_of("bob")
    return Pair(
        dial(alice, None if xx else bob, rekey_bytes=rekey_bytes),
        accept(bob, rekey_bytes=rekey_bytes),
    )


def connected(*, xx: bool = False, rekey_bytes: int = 1 << 30) -> Pair:
    """Two ends that know each other."""
    return pair(xx=xx, rekey_bytes=rekey_bytes).run()


@attrs.define
class Rogue:
    """A proved member who says what no connection of ours would ever say.

    It builds each byte by hand, from the format's description.
    """

    victim: Connection
    sealer: Sealer
    opener: Opener

    @classmethod
    def against(cls, victim_door: Doorkeeper, *, node: str = "mallory") -> Rogue:
        """Connect with XX, as anyone with a credential may."""
        door, victim = door_of(node), accept(victim_door)
        noise = door.begin(STREAMS, None)
        first = noise.write(b"")
        start = b"m2p" + bytes([1, FLAG_XX, 1]) + struct.pack(">H", len(first)) + first
        victim.receive_untrusted(start + door.mac(start, None), now=0.0)
        answer = victim.pull(MIB)
        noise.read_untrusted(answer[2:])
        last = noise.write(door.greeting())
        victim.receive_untrusted(struct.pack(">H", len(last)) + last, now=0.0)
        send_key, receive_key = noise.split()
        return cls(victim, Sealer(CRYPTO, send_key), Opener(CRYPTO, receive_key))

    def say(self, plaintext: bytes) -> list[Arrival]:
        """Any frames, or what is none, in a genuine record."""
        return self.victim.receive_untrusted(self.sealer.seal(plaintext), now=0.0)

    def hears(self) -> bytes:
        """All plaintext that the victim has for us, and that we can open."""
        self.opener.feed(self.victim.pull(MIB))
        heard = b""
        while (plaintext := self.opener.next_untrusted()) is not None:
            heard += plaintext
        return heard


def node_id(name: str) -> NodeId:
    """A person's id."""
    return identity(name).node_id
