"""A member that keeps to no rule but the formats: a hand-made client with keys of its own.

It holds a valid credential, as whoever has the mesh's easy key can issue one, and speaks the
protocol with the pure parts of meshp2p: sessions, streams, records. What it says is up to
whoever holds it; `lies` has much to say.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from meshp2p.config import lan
from meshp2p.errors import WireError
from meshp2p.gossip.messages import ACK, LINE, PING, RECORD, RecordItem
from meshp2p.gossip.record import LEFT, UP, Body, Record, VersionLine, body_hash
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys, Trust
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.messaging.requests import make_head
from meshp2p.transport.connection import Connection
from meshp2p.transport.endpoint import Endpoint
from meshp2p.transport.handshake import Doorkeeper
from meshp2p.transport.multiplex import AnswerArrived
from meshp2p.transport.path import Route
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value
from meshp2p.wire.messages import join_head, split_head_untrusted

_PATIENCE: Final[Seconds] = 10.0
_VALID: Final = 7_200
_LATER: Final = 7 * 86_400_000
"""Milliseconds by which its last word is newer than any before."""
_KEPT: Final = 256
"""Datagrams kept to be played back, of either direction."""
_READ: Final = 65_536
_DATAGRAM: Final = 2_048


class Insider:
    """One such member, with one UDP socket; it listens on no TCP port.

    Attributes:
        own: What it says of itself, true and signed.
        others: Newest record of everybody whom it was told of.
        heard: Sealed datagrams of others, as they came.
        said: Its own, as they left.
    """

    def __init__(self, keys: MeshKeys, handle: str, *, host: str = "127.0.0.1") -> None:
        """Issue a credential with the mesh's key, and bind a socket."""
        self.crypto = OpenSSL()
        self.rng = random.Random(handle)
        self.identity = NodeIdentity.self_issued(
            self.crypto,
            keys,
            node_private=os.urandom(32),
            transport_private=os.urandom(32),
            journal_id=os.urandom(16),
            handle=handle,
            role="worker",
            unix=time.time(),
        )
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)  # noqa: FBT003  # it has no other form
        trust = Trust(self.crypto, keys)
        self._door = Doorkeeper(
            crypto=self.crypto, entropy=os.urandom, identity=self.identity, trust=trust
        )
        self._door.wall_offset = time.time() - time.monotonic()
        self._endpoint = Endpoint(config=lan(), door=self._door, rng=self.rng)
        self.own = self._own_record(trust)
        self.others: dict[NodeId, Record] = {}
        self.heard: deque[bytes] = deque(maxlen=_KEPT)
        self.said: deque[bytes] = deque(maxlen=_KEPT)
        self._acked: set[int] = set()
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Say nothing more."""
        self.socket.close()

    @property
    def id(self) -> NodeId:
        """Its own."""
        return self.identity.node_id

    def farewell(self) -> list[Value]:
        """That it has gone: prevails over all that it said in the epochs that `lies` uses."""
        line = self._line(self.own.line.body_hash, int(time.time() * 1_000) + _LATER, LEFT)
        return RecordItem(line.raw, self.own.body_raw, self.own.chain).wire()

    def _own_record(self, trust: Trust) -> Record:
        identity = self.identity
        body = Body(
            node_key=identity.node_public,
            transport_key=identity.transport_public,
            journal_id=identity.journal_id,
            addresses=(Address(*self.socket.getsockname()),),
            handle=identity.handle,
            role=identity.role,
            namespace=identity.keys.namespace,
        )
        raw, unix = body.encode(), time.time()
        line = self._line(body_hash(raw), int(unix * 1_000), UP)
        credential = trust.verify_chain_untrusted(identity.chain, unix)
        return Record(
            line=line, body=body, body_raw=raw, chain=identity.chain, credential=credential
        )

    @property
    def handle(self) -> str:
        """Its own."""
        return self.identity.handle

    def _line(self, of_body: bytes, epoch: int, state: int) -> VersionLine:
        return VersionLine.signed(
            self.crypto,
            self.identity.node_private,
            self.identity.keys.group_id,
            node_id=self.identity.node_id,
            body_hash=of_body,
            epoch=epoch,
            seq=0,
            state=state,
            valid_until=int(time.time()) + _VALID,
        )

    # --- by stream ---------------------------------------------------------------

    def ask(self, address: Address, method: str, body: bytes) -> bytes:
        """One request on a connection of its own; the answer's body.

        Raises:
            WireError: The other side does not keep to the protocol.
            OSError: It does not answer.
        """
        head = make_head(
            self.rng, method, remaining=_PATIENCE, cause=None, own_id=self.identity.node_id
        )
        connection = Connection(
            self._door, now=time.monotonic(), rekey_bytes=1 << 30, dial=True, peer_id=None
        )
        asked = False
        with socket.create_connection(address, _PATIENCE) as stream:
            while True:
                if connection.is_open and not asked:
                    asked = True
                    data = join_head(head.packed(), body)
                    connection.mux.request(data, answer_limit=limits.MAX_SYNC_BODY)
                stream.sendall(connection.pull(1 << 24))
                arrivals = connection.receive_untrusted(stream.recv(_READ), now=time.monotonic())
                for arrival in arrivals:
                    if isinstance(arrival, AnswerArrived):
                        return split_head_untrusted(arrival.data)[1]

    def join(self, address: Address) -> None:
        """Show itself to a member as newcomers do, and learn of all others."""
        answer = self.ask(address, "!sync", codec.pack([self.own.wire()]))
        for record in codec.unpack_list_untrusted(answer, 0):
            self._learn_record(record)

    def _learn_record(self, value: Value) -> None:
        match value:
            case [bytes(line), bytes(body), bytes(chain), *_]:
                read = VersionLine.from_bytes_untrusted(line)
                if read.node_id != self.id:
                    self.others[read.node_id] = Record(
                        line=read,
                        body=Body.from_bytes_untrusted(body),
                        body_raw=body,
                        chain=chain,
                        credential=self.own.credential,  # nobody asks for it
                    )

    def _learn_line(self, raw: bytes) -> None:
        line = VersionLine.from_bytes_untrusted(raw)
        held = self.others.get(line.node_id)
        if held is not None and line.rank > held.line.rank:
            self.others[line.node_id] = attrs.evolve(held, line=line)

    # --- by datagram ---------------------------------------------------------------

    def say(self, to: NodeId, items: Sequence[Value] | bytes) -> None:
        """Under its true seal: items, or whatever bytes."""
        plaintext = items if isinstance(items, bytes) else codec.pack(list(items))
        body = self.others[to].body
        route = Route(body.addresses[:1], body.transport_key)
        self._endpoint.send(to, plaintext, route=lambda _: route, now=time.monotonic())
        self._flush()

    def send_raw(self, to: NodeId, data: bytes) -> None:
        """Any bytes, under no seal or another."""
        self._put(data, self.others[to].body.addresses[0])

    def _flush(self) -> None:
        for path, _, data in self._endpoint.outputs():
            if isinstance(path, Address):
                self.said.append(data)
                self._put(data, path)

    def _put(self, data: bytes, to: Address) -> None:
        select.select([], [self.socket], [])
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):  # as if it were lost
            self.socket.sendto(data, to)

    def hear(self, within: Seconds = 0.0) -> None:
        """Answer what was asked meanwhile, so that nobody takes it for dead."""
        select.select([self.socket], [], [], within)
        self._endpoint.receive_deadline(now=time.monotonic())
        for data, source in self._arrived():
            self.heard.append(data)
            try:
                received = self._endpoint.receive_untrusted(data, source, now=time.monotonic())
                if received is not None:
                    self._answer(received.peer, received.plaintext)
            except WireError:
                continue
        self._flush()

    def _arrived(self) -> Iterator[tuple[bytes, Address]]:
        while True:
            try:
                data, source = self.socket.recvfrom(_DATAGRAM)
                yield data, Address(*source)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue

    def _answer(self, peer: NodeId, plaintext: bytes) -> None:
        for item in codec.unpack_list_untrusted(plaintext, 0):
            match item:
                case [int(kind), int(seq), bytes(), *_] if kind == PING:
                    # Its view is never theirs: each answer makes them compare.
                    self.say(peer, [[ACK, seq, self.rng.randbytes(8), 0]])
                case [int(kind), int(seq), *_] if kind == ACK:
                    self._acked.add(seq)
                case [int(kind), bytes(line), *_] if kind == LINE:
                    self._learn_line(line)
                case [int(kind), *record] if kind == RECORD:
                    self._learn_record(record)

    def await_ack(self, peer: NodeId) -> bool:
        """Ask whether a member is there, until it answers: all said before has been read then."""
        number = next(self._numbers)
        ends = time.monotonic() + _PATIENCE
        while time.monotonic() < ends:
            self.say(peer, [[PING, number, bytes(8), 0]])
            again = time.monotonic() + 0.2
            while number not in self._acked and time.monotonic() < again:
                self.hear(0.05)
            if number in self._acked:
                self._acked.clear()
                return True
        return False
