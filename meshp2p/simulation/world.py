"""A mesh in virtual time: production engines, simulated everything else, one seed.

    world = World(seed=7)
    alice, bob, carol = world.join("alice", "bob", "carol")
    with world.hold(bob, alice):
        world.run_for(2.0)
    world.run_until_quiet()

The same seed and the same verbs give the same run, bit for bit, in every process.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Final

import attrs

from meshp2p.config import Config, loopback
from meshp2p.effects import Record
from meshp2p.engine import Engine
from meshp2p.engine.coordination import AuctionRules, VoteRules
from meshp2p.identity.chain import Chain
from meshp2p.identity.keys import Crypto
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import Address, Seconds
from meshp2p.messaging.body import pack_plain
from meshp2p.simulation.charges import Charges, Metered
from meshp2p.simulation.cheap import CheapCrypto
from meshp2p.simulation.datagrams import Datagrams
from meshp2p.simulation.dice import secret
from meshp2p.simulation.disk import Left
from meshp2p.simulation.handlers import Agent, Handler, Ran
from meshp2p.simulation.links import Conditions
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.origins import Origins
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.streams import Streams
from meshp2p.simulation.troubles import Troubles
from meshp2p.simulation.witness import UNIX

PORT: Final = 6374
_SEEDS: Final = 3
"""Earlier nodes that a newcomer is told of."""
_ADDRESSES_EVERY: Final[Seconds] = 5.0
"""As nodes do."""
_LOOK_EVERY: Final[Seconds] = 0.02
_CHAINS: Final = 16_384
"""Remembered as they read: of all members of a large mesh, each of whom meets all others."""


class World(Troubles):
    """Nodes, what lies between them, and a clock that only this moves."""

    def __init__(  # everything that a test may want to vary
        self,
        seed: int = 0,
        config: Config | None = None,
        *,
        crypto: Crypto | None = None,
        conditions: Conditions | None = None,
        charges: Charges | None = None,
        make_engine: Callable[..., Engine] = Engine,
    ) -> None:
        """An empty world.

        Args:
            seed: Decides everything that is left to chance.
            config: Of nodes that are given no other; `loopback()` if None.
            crypto: `CheapCrypto` if None.
            conditions: Of all links that are given no other.
            charges: What work costs; None for nodes that think in no time.
            make_engine: Called as `Engine` is; for tests that watch its inputs.
        """
        super().__init__(seed, conditions)
        self.config = config or loopback()
        self.crypto = crypto or CheapCrypto(self._signature_held)
        self.charges = charges
        self.make_engine = make_engine
        self.nodes: dict[str, Node] = {}
        self.byzantine: set[str] = set()
        """Handles of nodes that broke the protocol at some time: promises do not bind them."""
        self.datagrams = Datagrams(self)
        self.streams = Streams(self)
        self._by_address: dict[Address, Node] = {}
        self._hosts = count(1)
        self._keys: dict[tuple[str, str], MeshKeys] = {}
        self._read = lru_cache(_CHAINS)(Chain.read_untrusted)
        self._restless: Node | None = None
        """Whose view was not as it should be when that was last asked."""

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
        origins = Origins(
            name=name,
            config=config or self.config,
            crypto=crypto or self.crypto,
            keys=self.keys(mesh, namespace),
            address=self._next_host(),
            seeds=tuple((node.address.host, node.address.port) for node in told),
            guest=guest,
            may_promise=may_promise,
            read=self._read,
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

    def twin(self, node: Node, agent: Agent) -> Node:
        """Start a second machine with a node's keys: from now on that node says two things."""
        branch = f"~{self.next_number()}"
        number = self._next_host()
        origins = attrs.evolve(node.origins, branch=branch, address=number)
        twin = Node(self, origins, agent)
        self._by_address[twin.address] = twin
        self.byzantine.add(node.name)
        twin.start()
        return twin

    def _next_host(self) -> Address:
        number = next(self._hosts)
        return Address(f"10.0.{number >> 8}.{number & 255}", PORT)

    @property
    def covered(self) -> Counter[str]:
        """`coverage`, and what those who run now have counted."""
        return sum((node.counted for node in self.running), Counter(self.coverage))

    # --- life and death ----------------------------------------------------------

    def crash(
        self, node: Node, *, silent: bool = False, kept: int = 0, disk: Left = "unsynced_lost"
    ) -> None:
        """Kill a process; `silent`: its machine goes with it. See `Node.crash`."""
        node.crash(silent=silent, kept=kept, disk=disk)

    def restart(self, node: Node) -> None:
        """Start it again, with the same keys and the disk as it was left."""
        node.has_power = True
        self.coverage["restart"] += 1
        node.start()

    def pause(self, node: Node) -> None:
        """Let a process stand still; pauses nest."""
        node.pause()

    def resume(self, node: Node) -> None:
        """Let it go on."""
        node.resume()

    def leave(self, node: Node) -> None:
        """Stop it in order: say goodbye, linger, close."""
        self.tell("leave", node.name)
        node.feed(lambda engine, now: engine.close(now=now))
        linger = [0.0]
        node.feed(lambda engine, now: linger.append(engine.leave(now=now)))
        life = node.life
        self.after(linger[-1], lambda: node.end() if node.life == life else None)

    def move(self, node: Node) -> None:
        """Bring a machine into another network, with its process; it looks seconds later."""
        self.tell("move", node.name)
        self._by_address.pop(node.address, None)
        node.move(self._next_host())
        self._by_address[node.address] = node
        self.after(_ADDRESSES_EVERY, node.read_addresses)

    def calm(self, timeout: Seconds = 120.0, *, restart: bool = False) -> Seconds:
        """Remove every fault, then let time pass until all is well; return how long it took.

        Args:
            restart: Start again what has crashed; otherwise it stays down.

        Raises:
            Violation: It was not within `timeout` virtual seconds.
        """
        self.remove_faults()
        for node in self.nodes.values():
            while node.is_paused:
                node.resume()
            if restart and not node.is_running:
                self.restart(node)
        return self.run_until_quiet(timeout)

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

    # --- peace -------------------------------------------------------------------

    @property
    def unix(self) -> float:
        """What a right wall clock shows."""
        return UNIX + self.now

    def run_until_quiet(self, timeout: Seconds = 60.0) -> Seconds:
        """Let time pass until all nodes agree on who is there, and nobody is suspect."""
        return self.run_until(self.is_quiet, timeout, every=_LOOK_EVERY, otherwise=self.unrest)

    def unrest(self) -> str:
        """Whose view is not as it should be, for people; empty if it is quiet."""
        wrong = [
            f"{node.name} sees " + (", ".join(f"{m.name} {m.state}" for m in node.members))
            for node in self.running
            if not self._is_right(node, self._there())
        ]
        return "; ".join(wrong)

    def is_quiet(self) -> bool:
        """Whether each running node sees exactly the running ones of its mesh, all alive.

        Of a guest it is enough to have looked: it took one list, which nobody brings up to date.
        """
        there, known = self._there(), self._restless
        if known is not None and known.is_running and not self._is_right(known, there):
            return False  # the same one as last time: nobody else need be asked
        restless = (node for node in self.running if not self._is_right(node, there))
        self._restless = next(restless, None)
        return self._restless is None

    def _there(self) -> Mapping[bytes, set[str]]:
        there: defaultdict[bytes, set[str]] = defaultdict(set)
        for node in self.running:
            if not node.is_guest:
                there[node.keys.group_id].add(node.name)
        return there

    def _is_right(self, node: Node, there: Mapping[bytes, set[str]]) -> bool:
        members = node.members
        if node.is_guest:
            return bool(members) or not there.get(node.keys.group_id)
        alive = {member.handle for member in members if member.state == "alive"}
        suspect = {member.handle for member in members if member.state == "suspect"}
        return alive == there.get(node.keys.group_id, set()) and suspect <= alive

    # --- what nodes do -----------------------------------------------------------

    def find(
        self, sender: Node, to: Address, *, datagram: bool
    ) -> tuple[Node | None, Address] | None:
        """Who gets what is sent there, and from which address; None if a box swallows it."""
        source = sender.address
        if not self.routes.is_plain:
            found = self.routes.route(source, to, self.now, datagram=datagram)
            if found != (to, source):
                self.coverage["nat"] += 1
                self.coverage.update(f"nat.{kind}" for kind in self.routes.kinds_at(source, to))
            if found is None:
                return None
            to, source = found
        return self._by_address.get(to), source

    def metered(self, crypto: Crypto, node: Node) -> Crypto:
        """The same, charged to a node if work costs anything."""
        if self.charges is None:
            return crypto

        def charge(seconds: Seconds) -> None:
            if node.is_running:
                node.process.owed += seconds

        return Metered(crypto, self.charges, charge)

    def handler_begins(self, node: Node, job: Ran) -> None:
        """Tell whoever watches handlers."""
        if not node.is_twin:
            for look in self.on_running:
                look(node, job)

    def persisting(self, node: Node, records: Sequence[Record]) -> None:
        """Tell whoever watches disks."""
        if not node.is_twin:
            for look in self.on_persist:
                look(node, records)

    def _signature_held(self, public: bytes, data: bytes) -> None:
        if self.byzantine and any(
            self.nodes[name].identity.node_public == public for name in sorted(self.byzantine)
        ):
            return  # whoever lies has signed what it likes
        for look in self.on_signature:
            look(public, data)
