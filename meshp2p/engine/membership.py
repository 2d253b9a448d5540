"""Membership on real paths: gossip's messages sealed, forwarded, synced over streams."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from meshp2p.effects import Announce, SendDatagram
from meshp2p.engine.answers import Answers
from meshp2p.engine.core import Core
from meshp2p.engine.forwarding import Forwarding
from meshp2p.engine.governor import Governor
from meshp2p.engine.links import Links
from meshp2p.engine.lives import Lives
from meshp2p.engine.reaching import ALIVE, ALIVE_PRICE, Reaching
from meshp2p.engine.syncing import Syncing
from meshp2p.errors import UnknownMessage, WireError
from meshp2p.events import Event, MemberEvent, Synced
from meshp2p.gossip.messages import (
    FORWARD,
    FORWARDED,
    LINE,
    MAX_TUNNELLED,
    RECORD,
    SUSPICION,
    items_untrusted,
)
from meshp2p.gossip.outputs import (
    AskByStream,
    IndirectProbe,
    Moved,
    Pull,
    SaveEpoch,
    SendPlain,
    SyncWith,
    Tell,
)
from meshp2p.gossip.record import VersionLine
from meshp2p.gossip.swim import Swim
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport.endpoint import Endpoint
from meshp2p.transport.path import Path, Route, Via
from meshp2p.wire import codec, limits

_FORWARDINGS: Final = (FORWARD, FORWARDED)
_MAX_OWNERS: Final = 4_096
_LONGEST_KEY: Final[Seconds] = 24 * 3_600.0


def route_to(swim: Swim, peer: NodeId) -> Route:
    """Where a member's own record says that it listens."""
    contact = swim.contact(peer)
    return Route((), None) if contact is None else Route(contact.addresses, contact.transport_key)


class Membership:
    """Joins the gossip machine to datagram sessions and streams."""

    def __init__(  # noqa: PLR0913  # all that it joins
        self,
        core: Core,
        swim: Swim,
        endpoint: Endpoint,
        links: Links,
        answers: Answers,
        *,
        syncing: Syncing,
        governor: Governor,
        lives: Lives,
        on_event: Callable[[MemberEvent, Seconds], None],
    ) -> None:
        """Tell the engine of members that come and go through `on_event`."""
        self._core = core
        self._swim = swim
        self._route = functools.partial(route_to, swim)
        self._endpoint = endpoint
        self._links = links
        self._on_event = on_event
        self._syncing = syncing
        self.reaching = Reaching(core, swim, links, route_to=self._route)
        """Questions by stream; they have deadlines, as what is passed on."""
        answers.register(ALIVE, self.reaching.answer, price=ALIVE_PRICE)
        self.forwarding = Forwarding(core, swim, send=self._send)
        """What is passed on for others; it has deadlines."""
        self._governor = governor
        self._lives = lives
        self._owners: OrderedDict[Address, NodeId] = OrderedDict()
        self._statics: dict[NodeId, bytes] = {}
        self._reply_by: tuple[NodeId, Via] | None = None
        self.synced = False

    # --- datagrams -----------------------------------------------------------

    def receive_datagram(self, data: bytes, path: Path, now: Seconds) -> None:
        """One datagram, from whoever sent it."""
        if isinstance(path, Address):
            self._governor.datagrams_received += 1
            self._governor.datagram_bytes_received += len(data)
        try:
            received = self._endpoint.receive_untrusted(data, path, now=now)
            if received is not None:
                self._receive_plaintext(received.peer, received.plaintext, path, now)
        except UnknownMessage:
            self._core.counters["datagram_unknown"] += 1
        except WireError:
            self._core.counters["datagram_dropped"] += 1

    def _receive_plaintext(self, peer: NodeId, plaintext: bytes, path: Path, now: Seconds) -> None:
        items = items_untrusted(plaintext)
        for item in items:
            if type(item) is list and item and item[0] in _FORWARDINGS:
                self._receive_forwarding(peer, item, path, now)
                break  # of many small ones each would become a datagram
        if not isinstance(path, Via):
            self._swim.receive_items(peer, items, now=now)
            return
        self._reply_by = (peer, path)
        self._swim.receive_items(peer, items, now=now, room=MAX_TUNNELLED)
        self.drain(now)
        self._reply_by = None

    def _receive_forwarding(
        self, peer: NodeId, item: list[codec.Value], path: Path, now: Seconds
    ) -> None:
        if isinstance(path, Via):
            raise WireError("a datagram forwarded twice")
        match item:
            case [int(kind), int(), bytes(other), bytes(datagram), *_]:
                pass
            case _:
                raise WireError("a forwarding with a bad field")
        if kind == FORWARDED:
            self.receive_datagram(datagram, Via(peer), now)
        else:
            self.forwarding.receive(peer, NodeId(other), datagram, now)

    def refused(self, address: Address, now: Seconds) -> None:
        """The kernel says that nobody listens there."""
        owner = self._owners.get(address)
        if owner is not None:
            self._core.counters["datagram_refused"] += 1
            self._swim.evidence(owner, "refused", now=now)

    def _send(self, to: NodeId, plaintext: bytes, now: Seconds) -> None:
        if self._reply_by is not None and self._reply_by[0] == to:
            self._endpoint.reply(to, plaintext, path=self._reply_by[1], now=now)
            return
        self._endpoint.send(to, plaintext, route=self._route, now=now)

    def _may_leave(self, plaintext: bytes, now: Seconds) -> bool:
        """Whether it may not be late, though there are no bytes left, or there are again."""
        own_id = self._core.identity.node_id
        return not _is_news_of_others(plaintext, own_id) or self._governor.may_send_news(now)

    def drain(self, now: Seconds) -> None:
        """Perform what gossip asked for; sealing may ask for more."""
        while outputs := self._swim.outputs():
            for output in outputs:
                if isinstance(output, SendPlain):  # no pattern: done for every datagram
                    plaintext = output.plaintext
                    if self._governor.datagrams.tokens > 0 or self._may_leave(plaintext, now):
                        self._send(output.to, plaintext, now)
                else:
                    self._perform(output, now)
        self._flush(now)

    def _perform(
        self,
        output: IndirectProbe | Tell | AskByStream | SyncWith | Pull | Moved | SaveEpoch,
        now: Seconds,
    ) -> None:
        match output:
            case IndirectProbe(target=target, helpers=helpers, plaintext=plaintext):
                for helper in helpers:
                    self._endpoint.send(target, plaintext, route=self._route, now=now, via=helper)
            case Tell(event=event):
                self._tell(event, now)
            case AskByStream(target=target, accusation=accusation, dial=dial):
                self.reaching.ask(target, accusation, dial=dial, now=now)
            case SyncWith(peer=peer, buckets=None):
                self._syncing.sync_with(peer, now)
            case SyncWith(peer=peer, buckets=int(buckets)):
                self._syncing.compare_with(peer, buckets, now)
            case Pull(peer=peer, ids=ids):
                self._syncing.pull(peer, list(ids), now)
            case Moved(peer=peer, gone=gone):
                self._member_moved(peer, gone, now)
            case SaveEpoch(epoch=epoch):
                self._lives.use(epoch)

    def _flush(self, now: Seconds) -> None:
        """Put sealed datagrams on their paths; those through a member are sealed again."""
        while datagrams := self._endpoint.outputs():
            governor = self._governor
            for path, peer, data in datagrams:
                if isinstance(path, Address):
                    if peer is not None and self._owners.get(path) != peer:
                        self._remember_owner(path, peer)
                    size = len(data)
                    governor.datagrams_sent += 1
                    governor.datagram_bytes_sent += size
                    governor.datagrams.tokens -= size
                    self._core.emit(SendDatagram(path, data))
                elif peer is not None:
                    wrapped = codec.pack([[FORWARD, 0, peer, data]])
                    if len(wrapped) <= limits.MAX_PLAINTEXT:
                        self._endpoint.send(path.member, wrapped, route=self._route, now=now)

    def _remember_owner(self, address: Address, peer: NodeId) -> None:
        self._owners[address] = peer
        if len(self._owners) > _MAX_OWNERS:
            self._owners.popitem(last=False)

    # --- events --------------------------------------------------------------

    def _tell(self, event: Event, now: Seconds) -> None:
        if isinstance(event, MemberEvent):
            self._notice_restart(event, now)
            if event.name in ("member.failed", "member.left"):
                self._endpoint.forget(event.member.id)
                self._statics.pop(event.member.id, None)
            self._core.emit(Announce(event))
            self._space_out_rekeys()
            self._on_event(event, now)
            return
        self.synced = self.synced or isinstance(event, Synced)
        self._core.emit(Announce(event))

    def _member_moved(self, peer: NodeId, gone: tuple[Address, ...], now: Seconds) -> None:
        """Its sessions go on elsewhere; its connections cannot."""
        there = self._route(peer).addresses
        self._endpoint.moved(peer, gone, there)
        self._links.peer_moved(peer, gone, there, now=now)

    def _space_out_rekeys(self) -> None:
        """In a large mesh a pair meets so seldom that hourly keys would be new each time."""
        config = self._core.config
        patience = 3 * self._swim.present_count * config.probe_interval
        self._endpoint.rekey_after = min(max(config.rekey_after, patience), _LONGEST_KEY)

    def _notice_restart(self, event: MemberEvent, now: Seconds) -> None:
        """A new transport key means a new process: old sessions lead nowhere."""
        peer = event.member.id
        contact = self._swim.contact(peer)
        if contact is None or peer == self._core.identity.node_id:
            return
        known = self._statics.get(peer)
        self._statics[peer] = contact.transport_key
        if known is None:
            self._links.distrust(peer, contact.transport_key)
        elif known != contact.transport_key:
            self._endpoint.forget(peer)
            self._links.drop_peer(peer, "it restarted", now=now)


def _is_news_of_others(plaintext: bytes, own_id: NodeId) -> bool:
    """Whether a datagram of ours neither asks nor answers, nor says that we are alive."""
    match codec.unpack_list_untrusted(plaintext, 0):
        case [[int(kind), bytes(line), *_], *_] if kind in (LINE, RECORD):
            return VersionLine.from_bytes_untrusted(line).node_id != own_id
        case [[int(kind), *_], *_]:
            return kind == SUSPICION
        case _:
            return False
