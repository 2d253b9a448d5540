"""L1 and usefulness: once nothing disturbs the mesh any more, everything comes right."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Final

from meshp2p.errors import Overloaded
from meshp2p.gossip.member import Row
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.invariants import bounds, inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.nodes import WALL_CLOCK_EVERY, Node
from meshp2p.simulation.pending import Pending

_LOOK_EVERY: Final[Seconds] = 0.1
_PATIENCE: Final[Seconds] = 30.0
"""For one call in a mesh at rest; its own timeout is shorter."""
_LONG: Final = 300 * 1024
"""Bytes: more than a stream carries without new credit, less than a body may have."""
_HASHES: Final = 1 << 64
_CLOCK_ERROR: Final[Seconds] = 1.0
"""What the shortest leases and credentials of a mesh in a hurry forgive."""


class ViewsAgree(Invariant):
    """L1: after healing, all views are equal within 2 digest periods + 2 suspicion maxima."""

    name = "L1"
    promise = "In the calm everybody soon believes the same, and nobody who runs is dead."

    def at_rest(self) -> None:
        """Wait as long as the bound allows, then look at everything."""
        world = self.world
        alone = any(map(_knows_nobody, world.running))
        patience = bounds.convergence(world.config, len(world.nodes), alone=alone)
        if any(map(_is_mistaken, world.running)):  # disturbed, until it looks at the clock again
            patience += WALL_CLOCK_EVERY
        ends = world.now + patience
        while difference := self.difference():
            if world.now >= ends:
                self.violate(f"after {patience:.0f} s of calm {difference}")
            world.run_for(_LOOK_EVERY)
        for node in world.running:
            self._adds_up(node)

    def difference(self) -> str:
        """Whose view is not what it should be; empty if all are right."""
        meshes: defaultdict[bytes, list[Node]] = defaultdict(list)
        for node in self.world.running:
            if not node.is_guest and not node.is_paused and self.lookout.is_honest(node.id):
                meshes[node.keys.group_id].append(node)
        for nodes in meshes.values():
            there = {node.id for node in nodes}
            for node in nodes:
                alive = {member.id for member in node.members if member.state == "alive"}
                seen = set(filter(self.lookout.is_honest, alive))
                if seen != there:
                    return f"{node.name} sees {self._names(seen)}, not {self._names(there)}"
            hashes = {inside.view_of(node.engine).hash for node in nodes}
            if len(hashes) > 1:
                return f"{self._names(there)} hold {len(hashes)} different views"
        return ""

    def _names(self, ids: set[NodeId]) -> str:
        return ", ".join(sorted(map(self.call, ids))) or "nobody"

    def _adds_up(self, node: Node) -> None:
        """What is kept up to date with each change is what a count from nothing gives."""
        view = inside.view_of(node.engine)
        rows = list(view)
        if sum(map(_hash_of, rows)) % _HASHES != view.hash:
            self.violate(f"the view hash of {node.name} is not that of its rows", node.name)
        live = sum(row.is_live and row.id != view.own_id for row in rows)
        if live != len(view.live):
            text = f"{node.name} counts {len(view.live)} others alive and lists {live}"
            self.violate(text, node.name)
        self._finds_all(node, rows)

    def _finds_all(self, node: Node, rows: list[Row]) -> None:
        """The index of capabilities says what the records of those who are there say."""
        directory = inside.view_of(node.engine).directory
        announced: defaultdict[str, set[NodeId]] = defaultdict(set)
        for row in rows:
            for capability in row.record.body.capabilities if row.is_live else ():
                announced[capability.name].add(row.id)
        found = {name: set(directory.announcing(name)) for name in directory.capabilities()}
        for name in sorted({*announced, *found}):
            if announced.get(name) != found.get(name):
                there, seen = announced.get(name, set()), found.get(name, set())
                text = f"{node.name} finds {self._names(seen)} for {name!r}, announced by "
                self.violate(text + self._names(there), node.name)


class CallsWork(Invariant):
    """In the calm everybody is of use again: messages of any allowed size are answered."""

    name = "useful"
    promise = "In the calm everybody can call everybody, with as much as a call may carry."

    def at_rest(self) -> None:
        """Let everybody who can be asked be asked by everybody."""
        world = self.world
        there = [
            node for node in world.running if not node.is_paused and self.lookout.is_honest(node.id)
        ]
        for node in there:
            node.read_wall_clock()  # in the calm it is right; they look every ten seconds
        asked = [node for node in there if node.agent.on_message is not None]
        calls = [
            (one, other, one.call("@" + other.name, 1, timeout=_PATIENCE / 2))
            for one in there
            for other in asked
            if one.keys.group_id == other.keys.group_id
        ]
        alike = [node for node in asked if node.keys.group_id == asked[0].keys.group_id]
        if len(alike) > 1:
            one, other = alike[0], alike[-1]
            calls.append((one, other, one.call("@" + other.name, bytes(_LONG), timeout=15.0)))
        ends = world.now + _PATIENCE
        while world.now < ends and (_are_open(calls) or any(map(_busy_with, there))):
            world.run_for(_LOOK_EVERY)
            calls = [_once_more(*call) for call in calls]
        for one, other, pending in calls:
            if not pending.is_done or pending.error is not None:
                text = f"in the calm a call of {one.name} to {other.name} ended: "
                self.violate(text + repr(pending.error), one.name, other.name)
        for node in there:
            self._is_idle(node)

    def _is_idle(self, node: Node) -> None:
        for gauge, count in _busy_with(node).items():
            self.violate(f"at rest {gauge} of {node.name} is {count}", node.name)


def _are_open(calls: list[tuple[Node, Node, Pending]]) -> bool:
    return not all(pending.is_done for _, _, pending in calls)


def _busy_with(node: Node) -> dict[str, int]:
    """What it still waits for or works on; work may have begun late, after a slow write."""
    stats = node.engine.stats()
    return {gauge: stats[gauge] for gauge in ("calls_open", "handlers_running") if stats[gauge]}


def _once_more(one: Node, other: Node, pending: Pending) -> tuple[Node, Node, Pending]:
    """Whoever has too little room for all at once is asked again."""
    if isinstance(pending.error, Overloaded):
        pending = one.call("@" + other.name, 1, timeout=_PATIENCE / 2)
    return one, other, pending


def _hash_of(row: Row) -> int:
    """As `View.hash` defines it: of id, epoch, seq, and alive or suspect 0, dead 1, left 2."""
    epoch, seq = row.version
    state = {"alive": 0, "suspect": 0, "dead": 1, "left": 2}[row.state]
    said = row.id + epoch.to_bytes(8, "big") + seq.to_bytes(8, "big") + bytes([state])
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")


def _is_mistaken(node: Node) -> bool:
    """Whether it takes a time for now that its clock showed while that was wrong."""
    return abs(inside.unix_of(node.engine, node.now) - node.clock.unix) >= _CLOCK_ERROR


def _knows_nobody(node: Node) -> bool:
    """Whether it has still to find the first member, or to be found by one whose seed it is."""
    return not node.is_guest and len(node.members) == 1
