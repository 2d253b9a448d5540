"""Membership of one node: datagrams and time in, datagrams and events out."""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from meshp2p.config import Config
from meshp2p.errors import WireError
from meshp2p.events import CapabilityInfo
from meshp2p.gossip.admission import Admission
from meshp2p.gossip.antientropy import AntiEntropy
from meshp2p.gossip.clocks import Clocks
from meshp2p.gossip.conversation import Conversation
from meshp2p.gossip.detector import Detector
from meshp2p.gossip.dissemination import Dissemination
from meshp2p.gossip.exchange import Exchange
from meshp2p.gossip.intake import Intake
from meshp2p.gossip.messages import (
    BucketItem,
    DifferItem,
    DigestItem,
    LineItem,
    RecordItem,
    Repairing,
    SuspicionItem,
    WantItem,
    items_untrusted,
    messages_untrusted,
)
from meshp2p.gossip.outputs import Output
from meshp2p.gossip.own import OwnRecord
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.probe import Probes
from meshp2p.gossip.refutation import Refutation
from meshp2p.gossip.repair import Repair
from meshp2p.gossip.rounds import Rounds
from meshp2p.gossip.timers import WallClock
from meshp2p.gossip.view import View
from meshp2p.gossip.welcome import Welcome
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

_CLAIMS: Final = (LineItem, RecordItem, SuspicionItem)
_REPAIRING: Final = (DigestItem, BucketItem, WantItem, DifferItem)
_FAREWELLS: Final = 8
"""Members that a leaver tells at once: they may be all that hear it."""


class Swim(Exchange):
    """Who is in the mesh, who is alive, and who can do what.

    In: `receive`, `merge_untrusted`, `evidence`, `receive_deadline` and commands, each with
    `now` on the node's monotonic clock. Out: `outputs()`. When: `next_deadline()`.
    What it knows: `Census`. Nothing that a peer sends raises, or grows memory past
    `wire/limits.py`.
    """

    def __init__(  # noqa: PLR0913  # all that a pure machine must be given
        self,
        *,
        config: Config,
        identity: NodeIdentity,
        trust: Trust,
        crypto: Crypto,
        rng: Random,
        now: Seconds,
        unix: float,
        addresses: tuple[Address, ...],
        capabilities: tuple[CapabilityInfo, ...],
        guest: bool = False,
        saved_epoch: int = 0,
    ) -> None:
        """Begin, knowing nobody.

        Args:
            unix: Wall clock, Unix seconds; `receive_wall_clock` corrects it.
            guest: Only look: no record of its own, no datagrams, no answers.
            saved_epoch: The highest that earlier runs are known to have used; the epoch of
                this run is to be on disk before anything of it leaves.

        Raises:
            CredentialError: The node's own chain is not valid (now).
            UsageError: It does not allow what the node wants to announce.
        """
        parts = Parts(
            config=config,
            crypto=crypto,
            identity=identity,
            rng=rng,
            wall=WallClock(unix, now),
            view=View(identity.node_id),
            news=Dissemination(config.retransmit_multiplier),
            guest=guest,
        )
        super().__init__(parts)
        self._trust = trust
        self._refutation: Refutation | None = None
        if not guest:
            credential = trust.verify_chain_untrusted(identity.chain, unix)
            self._own = OwnRecord.begin(
                parts, credential, addresses, capabilities, now, saved_epoch=saved_epoch
            )
            self._refutation = Refutation(parts, self._own)
        self._detector = Detector(parts, Probes(rng.getrandbits(32)))
        self._admission = Admission(parts, trust)
        self._intake = Intake(parts, self._admission, self._detector, self._refutation)
        self._entropy = AntiEntropy(config, rng, now)
        self._repair = Repair(parts)
        self._welcome = Welcome(parts, self._intake, self._entropy)
        self._rounds = Rounds(
            parts,
            self._detector,
            self._intake,
            self._entropy,
            self._repair,
            self._own,
            self._refutation,
        )
        self._clocks = Clocks(parts)
        self._conversation = Conversation(
            parts, self._detector, self._entropy, self._repair, self._own, self._clocks
        )
        self._rounds.arm(now)

    @property
    def clocks_off(self) -> int:
        """Members, this node included, whose wall clocks are known to be wrong."""
        return self._clocks.off

    @property
    def load(self) -> int:
        """Calls running here, told with each ack. The engine keeps it up to date."""
        return self._conversation.load

    @load.setter
    def load(self, load: int) -> None:
        self._conversation.load = load

    # Inputs

    def receive(
        self, peer: NodeId, plaintext: bytes, *, now: Seconds, room: int = limits.MAX_PLAINTEXT
    ) -> None:
        """A datagram of an authenticated peer, member or not.

        Args:
            room: Bytes of an immediate answer; `MAX_TUNNELLED` if it came by tunnel.
        """
        try:
            items = items_untrusted(plaintext)
        except WireError:
            self._begin(now)
            self._parts.counters["datagrams_malformed"] += 1
            return
        self.receive_items(peer, items, now=now, room=room)

    def receive_items(
        self,
        peer: NodeId,
        items: list[Value],
        *,
        now: Seconds,
        room: int = limits.MAX_PLAINTEXT,
    ) -> None:
        """The same, for whoever has unpacked the plaintext."""
        self._begin(now)
        try:
            messages = messages_untrusted(items)
        except WireError:
            self._parts.counters["datagrams_malformed"] += 1
            self._admission.unreadable(peer, now)
            return
        if self._parts.guest or peer == self._parts.identity.node_id:
            return
        row = self._parts.view.get(peer)
        if row is not None:
            row.last_seen = now
        # Questions are answered before any signature is checked.
        self._conversation.receive(peer, row, messages, now, room)
        repairing: list[Repairing] = []
        for message in messages:
            if isinstance(message, _CLAIMS):
                self._intake.offer(message, peer, now)
            elif isinstance(message, _REPAIRING):
                repairing.append(message)
        if repairing:
            self._conversation.receive_repairs(peer, repairing, now, room)
        self._rounds.arm(now)

    def evidence(
        self, peer: NodeId, kind: Literal["refused", "reset", "traffic"], *, now: Seconds
    ) -> None:
        """Something else than a probe says whether a member is there.

        Args:
            kind: `refused`: ICMP, or no listener. `reset`: its side cut a connection.
                `traffic`: it answered something that was asked of it just now.
        """
        self._begin(now)
        row = self._parts.view.get(peer)
        if row is None or peer == self._parts.identity.node_id or self._conversation.has_left:
            return
        if kind == "traffic":
            row.last_seen = now
            self._detector.traffic(row)
        else:
            self._detector.evidence(row, kind, now)
        self._rounds.arm(now)

    def answered_by_stream(self, peer: NodeId, line: bytes, *, now: Seconds) -> None:
        """A member answered `AskByStream`, with its newest line."""
        self._begin(now)
        row = self._parts.view.get(peer)
        if row is None or self._conversation.has_left:
            return
        row.last_seen = now
        self._detector.answered_by_stream(row)
        self._intake.offer(LineItem(line), peer, now)
        self._rounds.arm(now)

    def asked_by_stream(self, peer: NodeId, accusation: bytes, *, now: Seconds) -> bytes:
        """A member asks by stream whether this node is there; return this node's line."""
        self._begin(now)
        if accusation:
            self._intake.offer(SuspicionItem(accusation), peer, now)
        self._rounds.arm(now)
        return b"" if self._own is None else self._own.record.line.raw

    def set_capabilities(self, capabilities: tuple[CapabilityInfo, ...], *, now: Seconds) -> None:
        """Announce these instead.

        Raises:
            UsageError: They do not fit, or the credential does not allow them.
        """
        self._begin(now)
        if self._own is not None:
            self._own.set_capabilities(capabilities, now)
        self._rounds.arm(now)

    def set_addresses(self, addresses: tuple[Address, ...], *, now: Seconds) -> bool:
        """This node listens there now; return whether others have to learn that.

        Raises:
            UsageError: They do not fit into a record.
        """
        self._begin(now)
        news = self._own is not None and self._own.set_addresses(addresses, now)
        self._rounds.arm(now)
        return news

    def set_draining(self, *, draining: bool, now: Seconds) -> None:
        """Ask the others for no new calls, or for calls again."""
        self._begin(now)
        if self._own is not None:
            self._own.set_draining(now, draining=draining)
        self._rounds.arm(now)

    def set_identity(self, identity: NodeIdentity, *, now: Seconds) -> None:
        """Take a renewed chain for the same keys.

        Raises:
            CredentialError: It is not valid.
        """
        self._begin(now)
        if self._own is not None:
            unix = self._parts.wall.unix(now)
            credential = self._trust.verify_chain_untrusted(identity.chain, unix)
            self._own.set_identity(identity, credential)
        self._rounds.arm(now)

    def leave(self, *, now: Seconds) -> None:
        """Say goodbye. Probes are still answered, so that nobody takes it for a failure."""
        self._begin(now)
        if self._own is None or self._own.has_left:
            return
        self._own.leave(now)
        self._rounds.leave(now, max(_FAREWELLS, self._parts.config.gossip_fanout))

    def receive_wall_clock(self, unix: float, *, now: Seconds) -> None:
        """The time of day, told now and then: it may have jumped."""
        self._begin(now)
        self._parts.wall.set(unix, now=now)
        if self._own is not None and self._own.is_due(now):
            self._own.renew(now)
        self._rounds.arm(now)

    def receive_deadline(self, *, now: Seconds) -> None:
        """Do what is due. Afterwards `next_deadline() > now`."""
        self._begin(now)
        self._rounds.perform(now)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` is wanted; `inf` if nothing is planned."""
        return self._parts.timers.soonest

    def outputs(self) -> list[Output]:
        """What is asked of the engine since the last call, in order."""
        return self._parts.drain()
