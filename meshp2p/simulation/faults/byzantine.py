"""Faults of those who do not keep to the protocol, and of strangers who attack it.

`Forge` and `StaleGossip` need a node that was started with `crypto=Liar(...)`; `Flood`,
`ReplayPackets` and `SpoofedInits` need nobody inside.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from meshp2p.consensus import VoteCall
from meshp2p.errors import UsageError
from meshp2p.ids import Address
from meshp2p.simulation.dice import Draws, secret
from meshp2p.simulation.faults.fault import Stop
from meshp2p.simulation.forgery import Forger
from meshp2p.simulation.latency import AnyLatency, Uniform
from meshp2p.simulation.liars import Liar, Lie, with_one_change, with_one_more
from meshp2p.transport.packet import INIT

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World

ATTACKER: Final = "198.51.100."
"""RFC 5737: for examples."""
_VICTIM: Final = "203.0.113."
"""Likewise."""
_KEPT: Final = 32
"""Datagrams that a flooder imitates."""
_LONGEST: Final = 1_200
_LATER: Final = Uniform(0.1, 10.0)
_CARELESS: Final = 0.25
"""Share of forgeries in which only some field is changed."""


def _start_lying(world: World, name: str, lie: Lie) -> Stop:
    crypto = world[name].origins.crypto
    if not isinstance(crypto, Liar):
        raise UsageError(f"{name} cannot lie: start it with crypto=Liar(world.crypto)")
    world.byzantine.add(name)
    number = world.next_number()
    crypto.lies[number] = lie

    def stop() -> None:
        del crypto.lies[number]

    return stop


def _forger(node: Node, rng: Random) -> Forger | None:
    """With all that a member knows; None while it has no place in the mesh."""
    # Here, for the package of invariants imports worlds, and worlds import faults.
    from meshp2p.simulation.invariants.inside import view_of  # noqa: PLC0415

    if not node.is_running:  # its twin speaks
        return None
    identity, view = node.identity, view_of(node.engine)
    own = view.get(identity.node_id)
    if own is None:
        return None
    return Forger(
        crypto=node.origins.crypto,
        identity=identity,
        own=own.record,
        others=[row.record for row in view if row is not own],
        unix=node.clock.unix,
        rng=rng,
    )


@attrs.frozen
class Forge:
    """A member lies about everybody in a share of its datagrams.

    It changes a field of what it says, or adds something forged with care (`Forger`): all is
    sealed as it should be, but what is not its own does not bear its owner's signature.
    """

    kind: ClassVar[str] = "byzantine.forge"
    node: str
    share: float

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        draws, node = Draws(world.seed, repr(self)), world[self.node]
        said = [0]

        def lie(plaintext: bytes) -> bytes | None:
            said[0] += 1
            draw = draws.at(said[0]) / self.share if self.share else 1.0
            if draw >= 1.0:
                return None
            rng = Random(draw)
            forger = None if rng.random() < _CARELESS else _forger(node, rng)
            if forger is None:
                changed = with_one_change(plaintext, rng)
            else:
                changed = with_one_more(plaintext, forger.item())
            world.coverage[self.kind] += changed is not None
            return changed

        return _start_lying(world, self.node, lie)


@attrs.frozen
class StaleGossip:
    """A member says again what others said to it some time ago, as if it were its own."""

    kind: ClassVar[str] = "byzantine.stale"
    node: str
    share: float

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        draws = Draws(world.seed, repr(self))
        said = [0]
        crypto = world[self.node].origins.crypto

        def lie(_plaintext: bytes) -> bytes | None:
            said[0] += 1
            draw = draws.at(said[0])
            if draw >= self.share or not isinstance(crypto, Liar) or not crypto.heard:
                return None
            world.coverage[self.kind] += 1
            return crypto.heard[int(draw / self.share * len(crypto.heard))]

        return _start_lying(world, self.node, lie)


@attrs.frozen
class ReplayPackets:
    """Somebody on the path keeps a share of all datagrams and sends them again later.

    Args:
        elsewhere: From an address of its own instead of the true sender's.
    """

    kind: ClassVar[str] = "byzantine.replay"
    share: float
    later: AnyLatency = _LATER
    elsewhere: bool = False

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        sent: Counter[tuple[str, Address]] = Counter()

        def look(sender: Node, to: Address, data: bytes) -> None:
            sent[sender.name, to] += 1
            number = sent[sender.name, to]
            draw = Draws(world.seed, repr(self), sender.name, to).at(number)
            if draw < self.share:
                wait = self.later.of(draw / self.share)
                world.after(wait, lambda: self._again(world, sender, to, data))

        world.on_datagram.append(look)
        return lambda: world.on_datagram.remove(look)

    def _again(self, world: World, sender: Node, to: Address, data: bytes) -> None:
        if world.is_calm:
            return
        target, _ = world.find(sender, to, datagram=True) or (None, to)
        if target is not None:
            world.coverage[self.kind] += 1
            source = Address(f"{ATTACKER}1", to.port) if self.elsewhere else sender.address
            world.datagrams.smuggle("mallory", target, source, data)


@attrs.frozen
class SpoofedInits:
    """Somebody on the path plays each INIT back, as if victims elsewhere had begun handshakes.

    Args:
        victims: Made-up addresses, each of which one copy seems to come from.
        later: After how long; with nothing a copy may well be there before its original.
    """

    kind: ClassVar[str] = "byzantine.spoof"
    victims: int
    later: AnyLatency = _LATER

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        draws, seen = Draws(world.seed, repr(self)), [0]

        def look(sender: Node, to: Address, data: bytes) -> None:
            if data[:1] != bytes([INIT]):
                return
            for victim in range(1, self.victims + 1):
                seen[0] += 1
                source = Address(f"{_VICTIM}{victim}", to.port)
                play = partial(self._play, world, sender, to, source, data)
                world.after(self.later.of(draws.at(seen[0])), play)

        world.on_datagram.append(look)
        return lambda: world.on_datagram.remove(look)

    def _play(self, world: World, sender: Node, to: Address, source: Address, data: bytes) -> None:
        target, _ = world.find(sender, to, datagram=True) or (None, to)
        if target is not None and not world.is_calm:
            world.coverage[self.kind] += 1
            world.datagrams.smuggle("mallory", target, source, data)


@attrs.frozen
class Flood:
    """A stranger sends so many datagrams a second: noise, and others' with a changed byte."""

    kind: ClassVar[str] = "byzantine.flood"
    node: str
    rate: float

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        kept: deque[bytes] = deque(maxlen=_KEPT)
        going = [True]
        target = world[self.node]

        def look(_sender: Node, to: Address, data: bytes) -> None:
            if to == target.address:
                kept.append(data)

        def stop() -> None:
            going.clear()
            world.on_datagram.remove(look)

        world.on_datagram.append(look)
        self._send_next(world, kept, going, 1)
        return stop

    def _send_next(self, world: World, kept: deque[bytes], going: list[bool], number: int) -> None:
        if not going:
            return
        draw = Draws(world.seed, repr(self)).at(number)
        noise = secret(world.seed, repr(self), number)
        data = (noise * (_LONGEST // len(noise)))[: int(draw * _LONGEST)]
        if kept and number % 2:
            model = kept[int(draw * len(kept))]
            at = noise[0] % max(len(model), 1)
            data = model[:at] + bytes([model[at] ^ (1 + noise[1] % 255)]) + model[at + 1 :]
        world.coverage[self.kind] += 1
        source = Address(f"{ATTACKER}{2 + number % 50}", 1024 + noise[2])
        world.datagrams.smuggle("mallory", world[self.node], source, data)
        world.after(1.0 / self.rate, lambda: self._send_next(world, kept, going, number + 1))


@attrs.frozen
class Equivocate:
    """A second machine runs with a node's keys, so that one member says two things.

    It votes otherwise, and awards, accepts and announces for itself.

    Source: Bano and others, "Twins: BFT systems made robust" (OPODIS 2021).
    """

    kind: ClassVar[str] = "byzantine.equivocate"
    node: str

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        agent = attrs.evolve(node.agent, voter=lambda call: _other(node, call))
        twin = world.twin(node, agent)

        def look(sender: Node, _to: Address, _data: bytes) -> None:
            world.coverage[self.kind] += sender is twin

        world.on_datagram.append(look)

        def stop() -> None:
            world.on_datagram.remove(look)
            twin.crash(silent=True)

        return stop


LIES: Final = (Forge, StaleGossip, Equivocate)
"""Faults that make their node break the protocol."""


def _other(node: Node, call: VoteCall) -> str:
    """An option that the node itself would not choose."""
    own = node.agent.voter(call) if node.agent.voter is not None else None
    return next((option for option in call.options if option != own), call.options[0])
