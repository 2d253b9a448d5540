"""Auctions and votes in virtual time: an event heap, faulty links, disks that lose writes.

Every statement that leaves a node is watched, at every step: whether it was on disk
before (unless the disk lies), whether its author ever signed something else in its place,
and whether two outcomes of one vote could be certified.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache, partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import attrs

from meshp2p.config import Config, lan
from meshp2p.consensus import (
    Answer,
    Ask,
    Bid,
    Certificate,
    Elector,
    Finished,
    Offer,
    Output,
    Participant,
    Run,
    VoteCall,
)
from meshp2p.consensus.award import AcceptanceNote, AwardNote, slot_of
from meshp2p.consensus.ballot import CastBallot, Proposal
from meshp2p.consensus.elector import BALLOTS
from meshp2p.consensus.epochs import AWARDS
from meshp2p.consensus.quorum import MAJORITY
from meshp2p.consensus.vote import CALL, CALLS
from meshp2p.consensus.worker import ACCEPTANCES
from meshp2p.effects import Persist, Record
from meshp2p.identity.credential import without_transport
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys, Trust
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import codec

UNIX = 1_750_000_000.0
"""Wall clock at monotonic time 0."""


class CheapCrypto(OpenSSL):
    """Signatures that anyone could forge but nobody here does; 20 times as fast."""

    def signing_public(self, private: bytes) -> bytes:
        """The hash of the private key."""
        return hashlib.sha256(b"public" + private).digest()

    def sign(self, private: bytes, data: bytes) -> bytes:
        """64 bytes that depend on key and data."""
        return hashlib.sha512(self.signing_public(private) + data).digest()

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `sign` made it."""
        return hashlib.sha512(public + data).digest() == signature


REAL = OpenSSL()
CHEAP = CheapCrypto()


@cache
def mesh_of(crypto: OpenSSL, mesh: str = "mesh") -> MeshKeys:
    """The keys of a mesh, from its name alone."""
    return MeshKeys.from_easy_key(hashlib.sha256(mesh.encode()).digest(), "default", crypto)


@cache
def identity_of(name: str, crypto: OpenSSL, mesh: str = "mesh") -> NodeIdentity:
    """Somebody's keys, from the name alone."""
    return NodeIdentity.self_issued(
        crypto,
        mesh_of(crypto, mesh),
        node_private=hashlib.sha256(b"node" + name.encode()).digest(),
        transport_private=hashlib.sha256(b"transport" + name.encode()).digest(),
        journal_id=hashlib.sha256(b"journal" + name.encode()).digest()[:16],
        handle=name,
        role="worker",
        unix=UNIX,
    )


def elector_of(identity: NodeIdentity, weight: int = 1) -> Elector:
    """A member as it is put into an electorate."""
    return Elector(
        node_key=identity.node_public,
        journal_id=identity.journal_id,
        chain=identity.chain,
        weight=weight,
        handle=identity.handle,
    )


def proposal_of(*names: str, crypto: OpenSSL = CHEAP, **changes: Any) -> Proposal:  # noqa: ANN401
    """A vote of these people between yes and no, called by the first of them."""
    people = [elector_of(identity_of(name, crypto)) for name in names]
    people = [attrs.evolve(person, chain=without_transport(person.chain)) for person in people]
    draft = Proposal(
        mesh_id=mesh_of(crypto).mesh_id,
        namespace="default",
        shared=True,
        caller=people[0],
        nonce=bytes(16),
        wall=int(UNIX),
        question="ship it?",
        options=("yes", "no"),
        participation_ppm=0,
        threshold_ppm=MAJORITY,
        faulty=0,
        closes_ms=5_000,
        electors=tuple(people),
        among="code.*",
        pid=bytes(32),
    )
    return attrs.evolve(draft, **changes)


@attrs.define(eq=False)
class Host:
    """A machine: a disk that survives, and a node that may not.

    Args:
        bidder: What its user bids; `voter`, how it votes.
        ran: Work that was begun: capability and fencing token.
        silent: It hears nothing and says nothing, but no connection breaks.
    """

    name: str
    identity: NodeIdentity
    voter: Callable[[VoteCall], object]
    bidder: Callable[[Offer], Bid | None]
    disk: dict[tuple[str, bytes], bytes] = attrs.field(factory=dict)
    node: Participant | None = None
    life: int = 0
    finished: dict[int, Finished] = attrs.field(factory=dict)
    ran: list[tuple[str, int]] = attrs.field(factory=list)
    handler: Callable[[bytes], bytes] = bytes
    unsynced: list[tuple[Record, ...]] = attrs.field(factory=list)
    silent: bool = False

    @property
    def id(self) -> NodeId:
        """Of its key."""
        return self.identity.node_id


@attrs.frozen(kw_only=True)
class Faults:
    """How bad the world is; all are chances from 0 to 1.

    Args:
        lose: That a request or an answer never arrives.
        double: That a request arrives a second time, up to ten seconds later.
        crash: That a machine crashes in a given second, to come back after a while.
        disk_fails: That a write reports failure.
        disk_lies: The disk confirms before it has written.
        traitors: Names of those who sign whatever they are asked.
    """

    lose: float = 0.0
    double: float = 0.0
    crash: float = 0.0
    disk_fails: float = 0.0
    disk_lies: bool = False
    traitors: frozenset[str] = frozenset()


class World:
    """Some machines and the network between them. One seed, one history."""

    def __init__(
        self,
        *names: str,
        seed: int = 0,
        faults: Faults | None = None,
        crypto: OpenSSL = CHEAP,
        config: Config | None = None,
    ) -> None:
        self.now: Seconds = 100.0
        self.rng = Random(seed)
        self.faults = faults or Faults()
        self.crypto = crypto
        self.config = config or lan()
        self.numbers = count(1)
        self.watch = Watch(self)
        self._events: list[tuple[Seconds, int, Callable[[], None]]] = []
        self._tickets: dict[int, tuple[Host, int, int, Host]] = {}
        self.hosts: dict[str, Host] = {}
        for name in names:
            identity = identity_of(name, crypto)
            host = Host(name, identity, voter=lambda _: None, bidder=lambda _: Bid())
            self.hosts[name] = host
            self.start(host)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def of(self, node_id: NodeId) -> Host:
        """The machine of a member."""
        return next(host for host in self.hosts.values() if host.id == node_id)

    def start(self, host: Host) -> None:
        """Begin a life with whatever the disk holds."""
        host.life += 1
        host.node = Participant(
            self.config,
            host.identity,
            Trust(self.crypto, host.identity.keys),
            self.crypto,
            self.rng.randbytes,
            partial(next, self.numbers),
            dict(host.disk),
            self._credential,
            handle_of=lambda node_id: self.of(node_id).name,
        )

    def crash(self, host: Host) -> None:
        """Lose what was not synced, or not; every connection breaks."""
        for records in host.unsynced:
            if self.rng.random() < 0.5:
                _write(host.disk, records)
        host.unsynced.clear()
        host.node = None
        host.life += 1
        for ticket, (asker, life, token, target) in list(self._tickets.items()):
            if target is host:
                del self._tickets[ticket]
                self._after(self._delay(), partial(self._reply, asker, life, token, None, b""))

    def vote(self, caller: str, options: Iterable[str] = ("yes", "no"), **rules: Any) -> int:  # noqa: ANN401
        """Call a vote of everybody; return its number."""
        number = next(self.numbers)
        electors = [elector_of(host.identity) for host in self.hosts.values()]
        node = self[caller].node
        assert node is not None
        node.votes.call(
            number,
            "ship it?",
            tuple(options),
            rules.pop("electors", electors),
            closes_in=rules.pop("closes_in", 5.0),
            now=self.now,
            unix=UNIX + self.now,
            **rules,
        )
        self.pump(self[caller])
        return number

    def auction(self, owner: str, body: bytes = b"work", **rules: Any) -> int:  # noqa: ANN401
        """Auction a call off among everybody; return its number."""
        number = next(self.numbers)
        node = self[owner].node
        assert node is not None
        candidates = rules.pop("candidates", [host.id for host in self.hosts.values()])
        node.auctions.hold(
            number,
            "code.review",
            body,
            candidates,
            close_after=rules.pop("close_after", 0.5),
            deadline=rules.pop("deadline", 20.0),
            now=self.now,
            unix=UNIX + self.now,
            **rules,
        )
        self.pump(self[owner])
        return number

    def run_for(self, seconds: Seconds) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, act = heappop(self._events)
            act()
        self.now = end

    def misbehave(self, seconds: Seconds) -> None:
        """Plan crashes and restarts for that long."""
        for second in range(int(seconds)):
            for host in self.hosts.values():
                if self.rng.random() < self.faults.crash:
                    self._after(second + self.rng.random(), partial(self._blackout, host))

    def pump(self, host: Host) -> None:
        """Perform everything that a node wants."""
        if host.node is None:
            return
        while wanted := host.node.outputs():
            for output in wanted:
                self.watch.leaves(host, output)
                self._perform(host, output)
        due = host.node.next_deadline()
        if due < float("inf"):
            self._at(due, partial(self._tick, host, host.life))

    # -- What nodes want

    def _perform(self, host: Host, output: Output) -> None:
        match output:
            case Ask():
                self._send(host, output)
            case Answer(ticket=ticket, status=status, body=body):
                asker, life, token, _ = self._tickets.pop(ticket, (host, -1, 0, host))
                if asker is host or self.rng.random() >= self.faults.lose:
                    reply = partial(self._reply, asker, life, token, status, body)
                    self._after(self._delay(), reply)
            case Persist():
                self._persist(host, output)
            case Run():
                self._after(self._delay(), partial(self._handle, host, host.life, output))
            case Finished(number=number):
                assert number not in host.finished
                host.finished[number] = output

    def _send(self, host: Host, ask: Ask) -> None:
        target = self.of(ask.to)
        arrive = partial(self._arrive, host, host.life, target, ask)
        if target is host or self.rng.random() >= self.faults.lose:
            self._after(self._delay(), arrive)
        if self.rng.random() < self.faults.double:
            self._after(self.rng.uniform(0, 10), arrive)
        timeout = partial(self._reply, host, host.life, ask.token, None, b"", lost=False)
        self._after(ask.timeout, timeout)

    def _arrive(self, asker: Host, life: int, target: Host, ask: Ask) -> None:
        if target.silent:
            return
        if target.node is None:
            self._after(self._delay(), partial(self._reply, asker, life, ask.token, None, b""))
            return
        ticket = next(self.numbers)
        self._tickets[ticket] = (asker, life, ask.token, target)
        if target.name in self.faults.traitors and ask.method == CALL:
            self._betray(target, ticket, ask.body)
        else:
            unix = UNIX + self.now
            target.node.receive_ask(ticket, asker.id, ask.method, ask.body, now=self.now, unix=unix)
        self.pump(target)

    def _betray(self, host: Host, ticket: int, call: bytes) -> None:
        """Sign for any option at each asking, and let others collect all of it."""
        proposal = Proposal.read_untrusted(call)
        for choice in range(len(proposal.options)):
            statement = CastBallot(
                pid=proposal.pid,
                elector=host.id,
                journal_id=host.identity.journal_id,
                choice=(choice,),
            ).sign(self.crypto, host.identity.node_private, host.identity.keys.group_id)
            self.watch.ballots[proposal.pid].add(statement)
            if self.rng.random() < 0.5:
                self._perform(host, Answer(ticket, 0, statement))

    def _reply(
        self,
        host: Host,
        life: int,
        token: int,
        status: int | None,
        body: bytes,
        *,
        lost: bool = True,
    ) -> None:
        if host.node is not None and host.life == life:
            lost = lost and status is None
            host.node.receive_answer(token, status, body, lost=lost, now=self.now)
            self.pump(host)

    def _persist(self, host: Host, persist: Persist) -> None:
        fails = self.rng.random() < self.faults.disk_fails
        host.unsynced.append(persist.records)
        sync = self._delay()
        self._after(sync, partial(self._sync, host, host.life, persist.records))
        told = 0.0 if self.faults.disk_lies else sync
        self._after(told, partial(self._persisted, host, host.life, persist.token, not fails))

    def _sync(self, host: Host, life: int, records: tuple[Record, ...]) -> None:
        if host.life == life:
            host.unsynced.remove(records)
            _write(host.disk, records)

    def _persisted(self, host: Host, life: int, token: int, ok: bool) -> None:  # noqa: FBT001
        if host.node is not None and host.life == life:
            host.node.receive_persisted(token, ok=ok, now=self.now)
            self.pump(host)

    def _handle(self, host: Host, life: int, run: Run) -> None:
        if host.node is None or host.life != life:
            return
        if run.method == "?vote":
            body = codec.unpack_untrusted(run.body)
            assert type(body) is list
            result = codec.pack(host.voter(VoteCall.from_body(body)))
        elif run.method == "?bid":
            body = codec.unpack_untrusted(run.body)
            assert type(body) is list
            bid = host.bidder(Offer.from_body(body))
            result = codec.pack(bid.to_body() if bid else None)
        else:
            token = run.context["token"]
            assert type(token) is int
            host.ran.append((run.method, token))
            result = host.handler(run.body)
        host.node.receive_outcome(run.number, 0, result, now=self.now)
        self.pump(host)

    def _tick(self, host: Host, life: int) -> None:
        if host.node is not None and host.life == life and host.node.next_deadline() <= self.now:
            host.node.receive_deadline(now=self.now)
            assert host.node.next_deadline() > self.now
            self.pump(host)

    def _blackout(self, host: Host) -> None:
        if host.node is not None:
            self.crash(host)
            self._after(self.rng.uniform(0.1, 5), partial(self.start, host))

    def _credential(self, node_id: NodeId) -> tuple[bytes, bytes] | None:
        known = [host.identity for host in self.hosts.values() if host.id == node_id]
        return (known[0].node_public, known[0].chain) if known else None

    def _delay(self) -> Seconds:
        return self.rng.uniform(0.001, 0.05)

    def _after(self, seconds: Seconds, act: Callable[[], None]) -> None:
        self._at(self.now + seconds, act)

    def _at(self, when: Seconds, act: Callable[[], None]) -> None:
        heappush(self._events, (when, next(self.numbers), act))


class Violation(AssertionError):
    """A promise of the protocol was broken."""


@attrs.define(eq=False)
class Watch:
    """Sees every statement that leaves a node, and compares.

    Args:
        ballots: By vote, every ballot that ever left its elector.
        won: By task and epoch, the hash of the one award; `accepted`, of the one acceptance.
    """

    world: World
    ballots: dict[bytes, set[bytes]] = attrs.field(factory=lambda: defaultdict(set))
    proposals: dict[bytes, bytes] = attrs.field(factory=dict)
    slots: dict[tuple[str, bytes], bytes] = attrs.field(factory=dict)
    epochs: dict[bytes, int] = attrs.field(factory=dict)
    decided: dict[bytes, str] = attrs.field(factory=dict)

    def leaves(self, host: Host, output: Output) -> None:
        """Judge one output. Raises Violation."""
        match output:
            case Ask(method="!auction.award", body=body):
                self._award(host, body)
            case Ask(method="!vote.call", body=body):
                proposal = Proposal.read_untrusted(body)
                self.proposals[proposal.pid] = body
                self._on_disk(host, CALLS, proposal.pid, body)
            case Answer(status=0, body=body):
                self._promise(host, body)
            case Finished(value=value) if hasattr(value, "certificate"):
                self._certified(value.certificate)

    def _award(self, host: Host, body: bytes) -> None:
        """A1 and A2: one winner for each epoch, and epochs only rise."""
        parcel = codec.unpack_untrusted(body)
        assert type(parcel) is list
        statement = parcel[0]
        assert type(statement) is bytes
        award = AwardNote.read_untrusted(statement)
        self._only(AWARDS, slot_of(award.task_id, award.epoch), statement)
        if award.epoch <= self.epochs.get(award.task_id, 0):
            raise Violation("A2: an epoch that does not rise")
        self.epochs[award.task_id] = award.epoch
        self._on_disk(host, AWARDS, award.task_id, statement)

    def _promise(self, host: Host, body: bytes) -> None:
        """V3, and the same for acceptances: one statement for each slot, ever."""
        for read in (CastBallot.read_untrusted, AcceptanceNote.read_untrusted):
            try:
                note = read(body)
            except Exception:  # noqa: BLE001, S112  # another kind of statement
                continue
            if isinstance(note, CastBallot):
                self.ballots[note.pid].add(body)
                self._only(BALLOTS, note.pid + note.elector, body)
                self._on_disk(host, BALLOTS, note.pid, body)
                self._one_outcome(note.pid)
            else:
                slot = slot_of(note.task_id, note.epoch)
                self._only(ACCEPTANCES, slot, body)
                self._on_disk(host, ACCEPTANCES, slot, body)

    def _only(self, table: str, slot: bytes, statement: bytes) -> None:
        if self.slots.setdefault((table, slot), statement) != statement:
            raise Violation(f"two statements for one slot of {table}")

    def _on_disk(self, host: Host, table: str, key: bytes, statement: bytes) -> None:
        """Law of ownership: what promises something is on disk before it leaves."""
        if not self.world.faults.disk_lies and statement not in host.disk.get((table, key), b""):
            raise Violation(f"{table} left {host.name} before it was written")

    def _certified(self, certificate: Certificate) -> None:
        verdict = certificate.verify(
            mesh_of(self.world.crypto).root_public, crypto=self.world.crypto
        )
        if not verdict.valid or verdict.outcome is None:
            raise Violation(f"a certificate that does not hold: {verdict.explanation}")
        pid = certificate.proposal.pid
        if self.decided.setdefault(pid, verdict.outcome) != verdict.outcome:
            raise Violation("V1: two certified outcomes of one vote")

    def _one_outcome(self, pid: bytes) -> None:
        """V1: nobody, whatever it collected, can certify two outcomes."""
        ballots = [CastBallot.read_untrusted(ballot) for ballot in self.ballots[pid]]
        for choice in {ballot.choice for ballot in ballots if ballot.choice}:
            equal = [ballot.statement for ballot in ballots if ballot.choice == choice]
            group_id = mesh_of(self.world.crypto).group_id
            certificate = Certificate.assemble(group_id, self.proposals[pid], equal)
            if self._holds(certificate):
                self._certified(certificate)

    def _holds(self, certificate: Certificate) -> bool:
        root = mesh_of(self.world.crypto).root_public
        return certificate.verify(root, crypto=self.world.crypto).valid


def _write(disk: dict[tuple[str, bytes], bytes], records: Iterable[Record]) -> None:
    for record in records:
        if record.value is None:
            disk.pop((record.table, record.key), None)
        else:
            disk[record.table, record.key] = record.value
