"""Membership machines in virtual time: an event heap, links with faults, real signatures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from heapq import heappop, heappush
from itertools import count, pairwise
from math import inf
from random import Random

import attrs

from meshp2p.config import Config, lan
from meshp2p.events import CapabilityInfo, MemberEvent, State, Synced
from meshp2p.gossip.messages import MAX_TUNNELLED
from meshp2p.gossip.outputs import IndirectProbe, Pull, SendPlain, SyncWith, Tell
from meshp2p.gossip.swim import Swim
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys, Trust
from meshp2p.ids import Address, NodeId
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

START = 1_000.0
UNIX = 1_750_000_000.0
"""Wall clock at monotonic time 0."""

CRYPTO = OpenSSL()


@cache
def keys_of(mesh: str = "mesh", namespace: str = "default") -> MeshKeys:
    """The keys of a mesh, from its name alone."""
    return MeshKeys.from_easy_key(hashlib.sha256(mesh.encode()).digest(), namespace, CRYPTO)


@cache
def identity_of(
    name: str, run: int = 0, mesh: str = "mesh", namespace: str = "default"
) -> NodeIdentity:
    """Somebody's keys, from the name alone; each run has a transport key of its own."""
    return NodeIdentity.self_issued(
        CRYPTO,
        keys_of(mesh, namespace),
        node_private=hashlib.sha256(b"node" + name.encode()).digest(),
        transport_private=hashlib.sha256(b"transport%d" % run + name.encode()).digest(),
        journal_id=hashlib.sha256(b"journal" + name.encode()).digest()[:16],
        handle=name,
        role="worker",
        unix=UNIX + START,
    )


def swim_of(  # noqa: PLR0913  # everything a test may want to vary
    name: str,
    *,
    config: Config | None = None,
    seed: int = 0,
    now: float = START,
    unix: float | None = None,
    run: int = 0,
    capabilities: tuple[CapabilityInfo, ...] = (),
    mesh: str = "mesh",
    namespace: str = "default",
    guest: bool = False,
) -> Swim:
    """A machine on its own, for tests that hand it bytes themselves."""
    return Swim(
        config=config or lan(),
        identity=identity_of(name, run, mesh, namespace),
        trust=Trust(CRYPTO, keys_of(mesh, namespace)),
        crypto=CRYPTO,
        rng=Random(f"{seed}/{name}/{run}"),
        now=now,
        unix=UNIX + now if unix is None else unix,
        addresses=(Address("192.0.2.1", 6374),),
        capabilities=capabilities,
        guest=guest,
    )


@attrs.define(eq=False)
class Person:
    """One node: its machine, what it told, and what became of it."""

    name: str
    swim: Swim
    run: int = 0
    crashed: bool = False
    paused: bool = False
    wakes_at: float = inf
    events: list[MemberEvent] = attrs.field(factory=list)
    synced: list[NodeId] = attrs.field(factory=list)
    held_back: list[Callable[[], None]] = attrs.field(factory=list)

    @property
    def id(self) -> NodeId:
        """Its node id."""
        return identity_of(self.name).node_id

    def sees(self, other: Person) -> State | None:
        """In which state it believes the other to be."""
        member = self.swim.member(other.id)
        return None if member is None else member.state

    def heard(self, event: str) -> list[str]:
        """Handles of those of whom it told this event, in order."""
        return [each.member.handle for each in self.events if each.name == event]


@attrs.define
class SwimWorld:
    """Everybody, and the network between them.

    Args:
        seed: Decides everything.
        loss: Probability that a datagram is lost, on each leg of its way.
    """

    seed: int
    config: Config = attrs.field(factory=lan)
    loss: float = 0.0
    now: float = START
    people: dict[NodeId, Person] = attrs.field(factory=dict)
    sent: Counter[str] = attrs.field(factory=Counter)
    largest: int = 0
    cut: set[tuple[NodeId, NodeId]] = attrs.field(factory=set)
    refuses: set[NodeId] = attrs.field(factory=set)
    check: Callable[[SwimWorld], None] | None = None
    rng: Random = attrs.field(init=False)
    _heap: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    _order: count[int] = attrs.field(factory=count)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)

    # People

    def start(self, name: str, *, unix: float | None = None, run: int = 0) -> Person:
        """Start a node that knows nobody."""
        swim = swim_of(name, config=self.config, seed=self.seed, now=self.now, unix=unix, run=run)
        person = Person(name, swim, run)
        self.people[person.id] = person
        self._after_input(person)
        return person

    def join(self, *names: str) -> list[Person]:
        """Start nodes that all know the first one, and let them settle."""
        people = [self.start(name) for name in names]
        for person in people[1:]:
            self.introduce(person, people[0])
        self.run_until(lambda: self.agrees(people))
        return people

    def introduce(self, person: Person, seed: Person) -> None:
        """Let somebody reach a seed."""
        person.swim.introduce(seed.id, now=self.now)
        self._after_input(person)

    def crash(self, person: Person, *, refuses: bool = False) -> None:
        """End it without a word; `refuses`: its machine says that nobody listens."""
        person.crashed = True
        if refuses:
            self.refuses.add(person.id)

    def restart(self, person: Person, seed: Person, *, unix: float | None = None) -> Person:
        """Run it anew with the same node key and no memory."""
        self.crash(person)
        self.refuses.discard(person.id)
        again = self.start(person.name, unix=unix, run=person.run + 1)
        self.introduce(again, seed)
        return again

    def pause(self, person: Person) -> None:
        """Stop its process; what arrives waits in its socket."""
        person.paused = True

    def resume(self, person: Person) -> None:
        """Let it go on where it was, with everything that waits."""
        person.paused = False
        waiting, person.held_back = person.held_back, []
        for action in waiting:
            self._at(self.now, action)
        person.wakes_at = inf
        self._wake(person)

    def part(self, ones: Iterable[Person], others: Iterable[Person]) -> None:
        """Cut all links between two groups."""
        for one in ones:
            for other in others:
                self.cut |= {(one.id, other.id), (other.id, one.id)}

    def heal(self) -> None:
        """Mend all links."""
        self.cut.clear()

    def agrees(self, people: Iterable[Person]) -> bool:
        """Whether all of them see each other alive, and the same list."""
        there = list(people)
        if len({person.swim.view_hash() for person in there}) != 1:
            return False
        return all(one.sees(other) == "alive" for one in there for other in there)

    # Time

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.run_until(lambda: False, at_most=seconds, must=False)

    def run_until(
        self, done: Callable[[], bool], *, at_most: float = 60.0, must: bool = True
    ) -> float:
        """Let time pass until something holds; return how long it took."""
        began, end = self.now, self.now + at_most
        while not done():
            if not self._heap or self._heap[0][0] > end:
                self.now = end
                assert not must, f"it did not happen within {at_most} s"
                break
            self.now, _, action = heappop(self._heap)
            action()
            if self.check is not None:
                self.check(self)
        return self.now - began

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heappush(self._heap, (moment, next(self._order), action))

    def _after_input(self, person: Person) -> None:
        for output in person.swim.outputs():
            self._perform(person, output)
        deadline = person.swim.next_deadline()
        if deadline < person.wakes_at:
            person.wakes_at = deadline
            self._at(max(deadline, self.now), lambda: self._wake(person))

    def _wake(self, person: Person) -> None:
        if person.crashed or person.paused:
            return
        if person.swim.next_deadline() <= self.now:
            person.swim.receive_deadline(now=self.now)
            assert person.swim.next_deadline() > self.now
        if self.now >= person.wakes_at:
            person.wakes_at = inf
        self._after_input(person)

    # The network

    def _perform(self, person: Person, output: object) -> None:
        match output:
            case SendPlain(to=to, plaintext=plaintext):
                self._send(person, to, plaintext, via=None)
            case IndirectProbe(target=target, helpers=helpers, plaintext=plaintext):
                for helper in helpers:
                    self._send(person, target, plaintext, via=helper)
            case SyncWith(peer=peer, buckets=None):
                meet = _join if person.swim.is_new else _sync
                self._stream(person, peer, lambda other: meet(person, other, self.now))
            case SyncWith(peer=peer, buckets=int(mask)):
                asked = person.swim.comparison(mask, now=self.now)
                self._stream(
                    person, peer, lambda other: _compare(person, other, asked, mask, self.now)
                )
            case Pull(peer=peer, ids=ids):
                self._stream(person, peer, lambda other: _pull(person, other, ids, self.now))
            case Tell(event=MemberEvent() as event):
                person.events.append(event)
            case Tell(event=Synced(peer=peer)):
                person.synced.append(peer)

    def _send(self, person: Person, to: NodeId, plaintext: bytes, *, via: NodeId | None) -> None:
        assert len(plaintext) <= (limits.MAX_PLAINTEXT if via is None else MAX_TUNNELLED)
        self.largest = max(self.largest, len(plaintext))
        self.sent[person.name] += 1
        hops = [person.id, to] if via is None else [person.id, via, to]
        delay = 0.0
        for hop in pairwise(hops):
            if hop in self.cut or self.rng.random() < self.loss or self._is_gone(hop[1]):
                if to in self.refuses and via is None:
                    self._at(self.now + 0.002, lambda: self._refused(person, to))
                return
            delay += self.rng.uniform(0.001, 0.004)
        self._at(self.now + delay, lambda: self._deliver(to, person.id, plaintext, via))

    def _is_gone(self, node_id: NodeId) -> bool:
        return node_id not in self.people or self.people[node_id].crashed

    def _refused(self, person: Person, to: NodeId) -> None:
        if not person.crashed and not person.paused:
            person.swim.evidence(to, "refused", now=self.now)
            self._after_input(person)

    def _deliver(self, to: NodeId, source: NodeId, plaintext: bytes, via: NodeId | None) -> None:
        person = self.people[to]
        if person.crashed:
            return
        if person.paused:
            person.held_back.append(lambda: self._deliver(to, source, plaintext, via))
            return
        room = limits.MAX_PLAINTEXT if via is None else MAX_TUNNELLED
        person.swim.receive(source, plaintext, now=self.now, room=room)
        for output in person.swim.outputs():
            match output:
                case SendPlain(to=back, plaintext=answer) if via and back == source:
                    self._send(person, back, answer, via=via)
                case _:
                    self._perform(person, output)
        self._after_input(person)

    def _stream(self, person: Person, peer: NodeId, ask: Callable[[Person], None]) -> None:
        """A request by stream: reliable, unless the link or the peer is gone."""
        if (person.id, peer) in self.cut or self._is_gone(peer):
            return
        self._at(self.now + 0.004, lambda: self._answer(person, self.people[peer], ask))

    def _answer(self, person: Person, other: Person, ask: Callable[[Person], None]) -> None:
        if other.crashed or other.paused or person.crashed or person.paused:
            return
        ask(other)
        self._after_input(person)
        self._after_input(other)


def _join(person: Person, other: Person, now: float) -> None:
    greeting = other.swim.greeting(person.swim.records_of([person.id]), person.id, now=now)
    person.swim.greeted_untrusted(greeting, other.id, now=now)


def _sync(person: Person, other: Person, now: float) -> None:
    person.swim.merge_untrusted(other.swim.sync_payload(), other.id, now=now)
    person.swim.synced_with(other.id, now=now)


def _compare(person: Person, other: Person, asked: list[Value], mask: int, now: float) -> None:
    records = other.swim.compare_untrusted(asked, person.id, now=now)
    person.swim.compared(records, mask, other.id, now=now)


def _pull(person: Person, other: Person, ids: tuple[NodeId, ...], now: float) -> None:
    person.swim.merge_untrusted(other.swim.records_of(list(ids)), other.id, now=now)
