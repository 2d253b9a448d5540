"""The engine: one node's whole protocol as a value.

Bytes and time go in, effects come out. It never waits, never reads a clock, never
rolls dice of its own. Three laws hold for whatever strangers send:

1. Same seed and inputs, same effects.
2. After `receive_deadline(now=t)`, `next_deadline() > t`.
3. Nothing raises, and memory stays within `wire/limits.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from meshp2p.config import Config
from meshp2p.effects import Effect, StreamId, StreamReady
from meshp2p.engine.assembly import Assembly
from meshp2p.engine.commands import Commands
from meshp2p.engine.core import Core
from meshp2p.engine.link import Link
from meshp2p.errors import UsageError
from meshp2p.events import CapabilityInfo, MemberEvent
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import Address, NodeId, Seconds, show_id

_TRAFFIC_EVERY: Final[Seconds] = 0.1


class Engine(Commands):
    """One node. `docs/architecture.md` follows a datagram and a request through it."""

    def __init__(  # noqa: PLR0913  # everything that a node depends on comes in here
        self,
        *,
        config: Config,
        identity: NodeIdentity,
        trust: Trust,
        crypto: Crypto,
        rng: random.Random,
        entropy: Callable[[int], bytes],
        now: Seconds,
        unix: float,
        addresses: Sequence[Address],
        capabilities: Iterable[CapabilityInfo] = (),
        seeds: Sequence[tuple[str, int]] = (),
        guest: bool = False,
        stored: Mapping[tuple[str, bytes], bytes] | None = None,
    ) -> None:
        """A node that knows nobody yet.

        Args:
            rng: For decisions and call ids; seeded, it makes the engine repeatable.
            entropy: `entropy(n)` gives n unpredictable bytes, for keys.
            now: Monotonic seconds.
            unix: Wall clock, Unix seconds, at the same moment.
            addresses: Where this node listens.
            seeds: (host, port) of nodes to join through.
            guest: Sees and calls members but is none.
            stored: What the journal holds: (table, key) to value.
        """
        core = Core(
            config=config,
            identity=identity,
            trust=trust,
            crypto=crypto,
            rng=rng,
            entropy=entropy,
            guest=guest,
            unix=unix,
            now=now,
        )
        parts = Assembly(
            core,
            unix=unix,
            addresses=tuple(addresses),
            capabilities=tuple(capabilities),
            seeds=tuple(seeds),
            stored=stored or {},
            on_link_gone=self._link_gone,
            on_member_event=self._member_event,
        )
        super().__init__(core, parts)
        self._last_traffic: dict[NodeId, Seconds] = {}

    # --- out -----------------------------------------------------------------

    def effects(self) -> list[Effect]:
        """What the protocol asks for since the last time, in order."""
        return self._core.take_effects()

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` must be called, on the monotonic clock."""
        return min(
            self._swim.next_deadline(),
            self._endpoint.next_deadline(),
            self._links.next_deadline(),
            *self._core.board,  # of syncs, calls, handlers, waits, agreements, what is passed on
            self._joining.next_deadline(),
            self._watching.cuts.ends,
            self._governor.due,
        )

    # --- in: time, datagrams, streams, disk, handlers --------------------------

    def receive_deadline(self, *, now: Seconds) -> None:
        """Time has come to `next_deadline()`, or beyond."""
        self._core.now = now
        self._swim.receive_deadline(now=now)
        self._endpoint.receive_deadline(now=now)
        self._links.receive_deadline(now=now)
        is_due = now >= min(self._core.board)  # seldom: most deadlines are gossip's
        if is_due:
            self._syncing.receive_deadline(now=now)
            self._calls.receive_deadline(now=now)
        self._serving.receive_deadline(now=now)
        if now >= self._coordination.next_deadline():
            self._coordination.receive_deadline(now=now)
        self._joining.receive_deadline(now=now)
        if is_due:
            self._membership.forwarding.receive_deadline(now=now)
            self._membership.reaching.receive_deadline(now=now)
        self._membership.drain(now)
        if is_due or now >= self._watching.cuts.ends:
            self._watching.receive_deadline(now=now)
        if now >= self._governor.due:
            for stream in self._governor.released(now):
                self._core.emit(StreamReady(stream))

    def receive_wall_clock(self, unix: float, *, now: Seconds) -> None:
        """What the wall clock shows; it may jump."""
        self._core.now = now
        self._core.wall_offset = self._door.wall_offset = unix - now
        self._swim.receive_wall_clock(unix, now=now)
        self._membership.drain(now)

    def receive_datagram(self, data: bytes, source: Address, *, now: Seconds) -> None:
        """Bytes from anybody."""
        self._core.now = now
        self._swim.load = self._serving.load
        self._membership.receive_datagram(data, source, now)
        self._membership.drain(now)

    def datagram_refused(self, address: Address, *, now: Seconds) -> None:
        """ICMP: nobody listens where we sent to."""
        self._core.now = now
        self._membership.refused(address, now)
        self._membership.drain(now)

    def stream_opened(self, stream: StreamId, *, now: Seconds) -> None:
        """What `OpenStream` asked for stands."""
        self._core.now = now
        self._links.opened(stream, now=now)

    def stream_accepted(self, stream: StreamId, remote: Address, *, now: Seconds) -> None:
        """Somebody connected; `stream` is even and the driver's choice."""
        self._core.now = now
        self._links.accepted(stream, remote, now=now)

    def receive_stream(self, stream: StreamId, data: bytes, *, now: Seconds) -> None:
        """Bytes from anybody who connected, or from whom we connected to."""
        self._core.now = now
        self._governor.stream_bytes_received += len(data)
        peer = self._links.receive(stream, data, now=now)
        if peer is not None and now - self._last_traffic.get(peer, 0.0) >= _TRAFFIC_EVERY:
            if self._swim.is_present(peer):  # guests come by the thousand, and are no members
                self._last_traffic[peer] = now
            self._swim.evidence(peer, "traffic", now=now)
        self._membership.drain(now)

    def stream_closed(self, stream: StreamId, reason: str, *, now: Seconds) -> None:
        """The stream ended, failed, or could not be opened."""
        self._core.now = now
        self._links.closed(stream, reason, now=now)
        self._membership.drain(now)

    def stream_bytes(self, stream: StreamId, at_most: int, *, now: Seconds) -> bytes:
        """Bytes to write now: about `at_most`, at least one record if any waits."""
        self._core.now = now
        governor = self._governor
        if self._core.is_held_back:
            return b""
        if governor.limits_streams and not self._may_write(stream, now):
            return b""
        data = self._links.bytes_for(stream, at_most)
        governor.stream_bytes_sent += len(data)
        governor.streams.tokens -= len(data)
        return data

    def _may_write(self, stream: StreamId, now: Seconds) -> bool:
        """Streams that part are not held up: the driver would take that for their end."""
        return not self._links.is_open(stream) or self._governor.may_write(stream, now)

    def receive_addresses(self, addresses: Sequence[Address], *, now: Seconds) -> bool:
        """Where this node listens, looked at now and then; return whether others hear of it.

        A laptop moves to another network, a lease of DHCP ends. The sessions go on, from
        wherever their datagrams come; connections are made anew.
        """
        self._core.now = now
        before = set(self._swim.addresses)
        try:
            moved = self._swim.set_addresses(tuple(addresses), now=now)
        except UsageError as error:
            self._core.log("warning", "its new addresses cannot be announced", why=str(error))
            return False
        if moved:
            self._core.log("info", "this node moved", addresses=", ".join(map(str, addresses)))
            self._links.node_moved(before.difference(self._swim.addresses), now=now)
        self._membership.drain(now)
        return moved

    def receive_resolved(
        self, host: str, port: int, addresses: Sequence[Address], *, now: Seconds
    ) -> None:
        """The answer to `Resolve`; no addresses if there are none."""
        self._core.now = now
        self._joining.receive_resolved(host, port, tuple(addresses), now=now)
        self._membership.drain(now)

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> None:
        """The records of `Persist(token)` are on disk, or never will be."""
        self._core.now = now
        self._lives.receive_persisted(token, ok=ok)
        self._coordination.receive_persisted(token, ok=ok, now=now)
        self._joining.receive_persisted(token, ok=ok, now=now)
        self._membership.drain(now)

    def receive_outcome(self, call: int, status: int, body: bytes, *, now: Seconds) -> None:
        """The handler of `Invoke(call)` returned; it must do so once, cancelled or not."""
        self._core.now = now
        if not self._serving.finished(call, status, body, now=now):
            self._coordination.receive_outcome(call, status, body, now=now)

    # --- reactions -------------------------------------------------------------

    def _link_gone(self, link: Link, reason: str, now: Seconds) -> None:
        self._answers.link_gone(link)
        announced = link.connection is not None and link.connection.mux.peer_goes_away
        if link.peer is not None and not link.retiring and not announced:
            self._core.counters["stream_lost"] += 1
            self._swim.evidence(link.peer, "reset", now=now)
            self._core.log("debug", "stream lost", peer=show_id(link.peer), reason=reason)

    def _member_event(self, event: MemberEvent, now: Seconds) -> None:
        self._watching.member_event(event, now)
        self._joining.members_changed(now)
        if event.name in ("member.joined", "member.returned", "member.updated"):
            self._calls.members_changed(now=now)
        elif event.name in ("member.failed", "member.left"):
            self._last_traffic.pop(event.member.id, None)
            self._calls.member_lost(event.member.id)
            if event.name == "member.left":
                self._links.let_go(event.member.id, "it left", now=now)
            else:
                reason = f"it failed: {event.reason}"
                self._links.drop_peer(event.member.id, reason, now=now)
            self._coordination.member_lost(event.member.id, now=now)
