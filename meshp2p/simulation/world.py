"""A mesh in virtual time: production engines, simulated everything else, one seed.

    world = World(seed=7)
    alice, bob, carol = world.join("alice", "bob", "carol")
    with world.hold(bob, alice):
        world.run_for(2.0)
    world.run_until_quiet()

The same seed and the same verbs give the same run, bit for bit, in every process.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from meshp2p.config import Config, loopback
from meshp2p.effects import Record
from meshp2p.engine import Engine
from meshp2p.engine.coordination import AuctionRules, VoteRules
from meshp2p.identity.keys import Crypto
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import Address, Seconds
from meshp2p.messaging.body import pack_plain
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.dice import secret
from meshp2p.simulation.handlers import Agent, Handler, Ran
from meshp2p.simulation.links import Conditions, Link, Links
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.origins import Origins
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.streams import Streams

START: Final[Seconds] = 1_000.0
"""Monotonic time at which every world begins."""
UNIX: Final = 1_750_000_000.0
"""Wall clock at monotonic time 0."""
PORT: Final = 6374
_SEEDS: Final = 3
"""Earlier nodes that a newcomer is told of."""
_LOOK_EVERY: Final[Seconds] = 0.02


class Violation(AssertionError):
    """A promise of the protocol was broken."""


class World:
    """Nodes, what lies between them, and a clock that only this moves."""

    def __init__(
        self,
        seed: int = 0,
        config: Config | None = None,
        *,
        crypto: Crypto | None = None,
        conditions: Conditions | None = None,
        make_engine: Callable[..., Engine] = Engine,
    ) -> None:
        """An empty world.

        Args:
            seed: Decides everything that is left to chance.
            config: Of nodes that are given no other; `loopback()` if None.
            crypto: `CheapCrypto` if None.
            conditions: Of all links that are given no other.
            make_engine: Called as `Engine` is; for tests that watch its inputs.
        """
        self.seed = seed
        self.config = config or loopback()
        self.crypto = crypto or CheapCrypto(self._signature_held)
        self.make_engine = make_engine
        self.now = START
        self.nodes: dict[str, Node] = {}
        self.links = Links(seed, self.after, lambda: self.now)
        self.links.usual = conditions or Conditions()
        self.streams = Streams(self)
        self.events = 0
        """Steps taken so far."""
        self.after_each: list[Callable[[], None]] = []
        """Called after every step; raise `Violation` to stop."""
        self.on_running: list[Callable[[Node, Ran], None]] = []
        """Called whenever a handler begins."""
        self.on_persist: list[Callable[[Node, Sequence[Record]], None]] = []
        """Called whenever an engine asks for records to be written."""
        self.on_signature: list[Callable[[bytes, bytes], None]] = []
        """Called with public key and data whenever somebody checks a valid signature."""
        self.on_datagram: list[Callable[[Node, Address, bytes], None]] = []
        """Called with every datagram that a node sends."""
        self._by_address: dict[Address, Node] = {}
        self._keys: dict[tuple[str, str], MeshKeys] = {}
        self._heap: list[tuple[Seconds, int, Callable[[], None]]] = []
        self._order = count()
        self._in_order: defaultdict[object, Seconds] = defaultdict(float)
        self._trace = hashlib.blake2b(digest_size=16)

    # --- who is there ----------------------------------------------------------

    def join(self, *names: str, **options: Any) -> list[Node]:  # noqa: ANN401  # as `start`
        """Start nodes at once and let time pass until they and all others agree."""
        nodes = [self.start(name, **options) for name in names]
        self.run_until_quiet()
        return nodes

    def start(  # noqa: PLR0913  # everything that a test may want to vary
        self,
        name: str,
        *,
        mesh: str = "mesh",
        namespace: str = "default",
        config: Config | None = None,
        handlers: Mapping[str, Handler] | None = None,
        agent: Agent | None = None,
        seeds: Iterable[Node] | None = None,
        guest: bool = False,
        may_promise: bool = True,
        crypto: Crypto | None = None,
    ) -> Node:
        """Start one node; it does nothing before time passes.

        Args:
            crypto: Of its own, for those who seal or sign something else than they should.
            seeds: Whom it is told of; None for the first few nodes of the world.
        """
        told = list(self.nodes.values())[:_SEEDS] if seeds is None else list(seeds)
        number = len(self.nodes) + 1
        origins = Origins(
            name=name,
            config=config or self.config,
            crypto=crypto or self.crypto,
            keys=self.keys(mesh, namespace),
            address=Address(f"10.0.{number >> 8}.{number & 255}", PORT),
            seeds=tuple((node.address.host, node.address.port) for node in told),
            guest=guest,
            may_promise=may_promise,
        )
        node = Node(self, origins, agent or Agent(handlers or {}))
        self.nodes[name] = self._by_address[node.address] = node
        node.start()
        return node

    def __getitem__(self, name: str) -> Node:
        """The node of that name."""
        return self.nodes[name]

    def keys(self, mesh: str = "mesh", namespace: str = "default") -> MeshKeys:
        """The keys of a mesh and namespace, from their names and the seed."""
        known = self._keys.get((mesh, namespace))
        if known is None:
            easy_key = secret(self.seed, "mesh", mesh)
            known = MeshKeys.from_easy_key(easy_key, namespace, self.crypto)
            self._keys[mesh, namespace] = known
        return known

    @property
    def running(self) -> list[Node]:
        """Nodes whose process runs, the paused included."""
        return [node for node in self.nodes.values() if node.is_running]

    def at(self, address: Address) -> Node | None:
        """Whose address that is."""
        return self._by_address.get(address)

    # --- faults ----------------------------------------------------------------

    def crash(self, node: Node, *, silent: bool = False, kept: int = 0) -> None:
        """Kill a process; `silent`: its machine goes with it. See `Node.crash`."""
        node.crash(silent=silent, kept=kept)

    def restart(self, node: Node) -> None:
        """Start it again, with the same keys and the disk as it was left."""
        node.has_power = True
        node.start()

    def leave(self, node: Node) -> None:
        """Stop it in order: say goodbye, linger, close."""
        node.feed(lambda engine, now: engine.close(now=now))
        linger = [0.0]
        node.feed(lambda engine, now: linger.append(engine.leave(now=now)))
        life = node.life
        self.after(linger[-1], lambda: node.end() if node.life == life else None)

    @contextmanager
    def hold(self, one: Node, other: Node, *, both: bool = True) -> Iterator[None]:
        """Keep all packets between two nodes until the end of the block."""
        links = self._between([one], [other], both=both)
        for link in links:
            self.links.hold(link)
        try:
            yield
        finally:
            for link in links:
                self.links.release(link)

    def cut(self, ones: Node | Iterable[Node], others: Node | Iterable[Node]) -> None:
        """Lose everything between two groups."""
        for link in self._between(_group(ones), _group(others), both=True):
            self.links.cut(link)

    def heal(self) -> None:
        """Mend all links, and all special conditions of links."""
        self.links.mend_all()

    @staticmethod
    def _between(ones: Iterable[Node], others: Iterable[Node], *, both: bool) -> list[Link]:
        there = [(one.name, other.name) for one in ones for other in list(others)]
        return there + [(b, a) for a, b in there] if both else there

    # --- commands --------------------------------------------------------------

    def auction(
        self,
        owner: Node,
        capability: str,
        *args: object,
        **rules: Any,  # noqa: ANN401  # as AuctionRules
    ) -> Pending:
        """Auction a call off; see `AuctionRules`."""
        rules = {"close_after": 0.5, "deadline": 20.0, **rules}
        body = pack_plain([list(args), {}], "the arguments")
        return owner.command(
            lambda engine, now: engine.coordination.hold(
                capability, body, AuctionRules(**rules), now=now
            )
        )

    def vote(
        self,
        caller: Node,
        question: str,
        options: Sequence[str],
        **rules: Any,  # noqa: ANN401  # as VoteRules
    ) -> Pending:
        """Call a vote; see `VoteRules`."""
        rules = {"closes_in": 5.0, **rules}
        return caller.command(
            lambda engine, now: engine.coordination.call_vote(
                question, options, VoteRules(**rules), now=now
            )
        )

    # --- time ------------------------------------------------------------------

    @property
    def unix(self) -> float:
        """What a right wall clock shows."""
        return UNIX + self.now

    def after(self, seconds: Seconds, act: Callable[[], None]) -> None:
        """Do something later."""
        self.at_time(self.now + seconds, act)

    def at_time(self, when: Seconds, act: Callable[[], None]) -> None:
        """Do something at a moment; of two at once, the one that was asked for first."""
        heappush(self._heap, (when, next(self._order), act))

    def after_in_order(self, queue: object, seconds: Seconds, act: Callable[[], None]) -> None:
        """Do something later, and later than all that was put into the same queue before."""
        when = max(self.now + seconds, self._in_order[queue])
        self._in_order[queue] = when
        self.at_time(when, act)

    def step(self) -> None:
        """Let the next thing happen."""
        self.now, _, act = heappop(self._heap)
        self.events += 1
        act()
        for check in self.after_each:
            check()

    def run_for(self, seconds: Seconds) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.step()
        self.now = end

    def run_until(
        self, done: Callable[[], bool], timeout: Seconds = 60.0, *, every: Seconds = 0.0
    ) -> Seconds:
        """Let time pass until something holds; return how long it took.

        Args:
            every: Look no more often than that.

        Raises:
            Violation: It did not within `timeout` virtual seconds.
        """
        began, look_at = self.now, self.now
        while not (self.now >= look_at and done()):
            if self.now >= look_at:
                look_at = self.now + every
            if not self._heap or self._heap[0][0] > began + timeout:
                self.now = began + timeout
                if done():
                    break
                raise Violation(f"seed {self.seed}: it did not happen within {timeout} s")
            self.step()
        return self.now - began

    def run_until_quiet(self, timeout: Seconds = 60.0) -> Seconds:
        """Let time pass until all nodes agree on who is there, and nobody is suspect."""
        return self.run_until(self.is_quiet, timeout, every=_LOOK_EVERY)

    def is_quiet(self) -> bool:
        """Whether each running node sees exactly the running ones of its mesh, all alive."""
        there: defaultdict[bytes, set[str]] = defaultdict(set)
        for node in self.running:
            if not node.is_guest:
                there[node.keys.group_id].add(node.name)
        return all(
            {member.handle for member in node.members if member.state in ("alive", "suspect")}
            == node.handles
            == there[node.keys.group_id] | ({node.name} if node.is_guest else set())
            for node in self.running
        )

    # --- what nodes do -----------------------------------------------------------

    def send_datagram(self, sender: Node, to: Address, data: bytes) -> None:
        """A datagram leaves a socket."""
        for look in self.on_datagram:
            look(sender, to, data)
        target = self._by_address.get(to)
        if target is None:
            return
        source, life = sender.address, sender.life

        def arrive() -> None:
            if target.is_running:
                target.feed_datagram(data, source)
            elif target.has_power:
                self.links.send_datagram((target.name, sender.name), refuse)

        def refuse() -> None:
            if sender.life == life:
                sender.feed(lambda engine, now: engine.datagram_refused(to, now=now))

        self.links.send_datagram((sender.name, target.name), arrive)

    def handler_begins(self, node: Node, job: Ran) -> None:
        """Tell whoever watches handlers."""
        for look in self.on_running:
            look(node, job)

    def persisting(self, node: Node, records: Sequence[Record]) -> None:
        """Tell whoever watches disks."""
        for look in self.on_persist:
            look(node, records)

    def note(self, node: Node, what: str, data: bytes) -> None:
        """Add one thing that happened to the trace."""
        self._trace.update(f"{self.now!r} {node.name} {what} {len(data)} ".encode())
        self._trace.update(data)

    @property
    def trace(self) -> str:
        """A hash of all that happened so far, bytes on the wire included."""
        return self._trace.hexdigest()

    def require(self, holds: bool, promise: str) -> None:  # noqa: FBT001  # like assert
        """Stop the run if a promise is broken.

        Raises:
            Violation: It is.
        """
        if not holds:
            raise Violation(f"seed {self.seed}, at {self.now - START:.3f} s: {promise}")

    def _signature_held(self, public: bytes, data: bytes) -> None:
        for look in self.on_signature:
            look(public, data)


def _group(nodes: Node | Iterable[Node]) -> list[Node]:
    return [nodes] if isinstance(nodes, Node) else list(nodes)
