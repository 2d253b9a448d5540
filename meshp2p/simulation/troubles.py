"""The part of a world that goes wrong: faults that are let in, and taken out again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from math import inf
from typing import TYPE_CHECKING, cast

from meshp2p.ids import Seconds
from meshp2p.simulation.agenda import Agenda
from meshp2p.simulation.faults.cuts import Cut, Hold, Partition
from meshp2p.simulation.faults.fault import Fault, Guard, Schedule, Timed, paths
from meshp2p.simulation.faults.machines import Skew
from meshp2p.simulation.links import Conditions, Links
from meshp2p.simulation.packets import Kind, Link
from meshp2p.simulation.routes import Routes
from meshp2p.simulation.witness import START

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World


class Troubles(Agenda):
    """All faults of a world, and the network that they disturb."""

    def __init__(self, seed: int, conditions: Conditions | None) -> None:
        """Nothing is wrong yet; `conditions` hold for all links that have no others."""
        super().__init__(seed)
        self.routes = Routes()
        self.links = Links(
            seed, self.after, lambda: self.now, coverage=self.coverage, dropped=self._dropped
        )
        self.links.usual = conditions or Conditions()
        self.faults: dict[int, Guard] = {}
        """Those at work, by number."""
        self.is_calm = False
        """Whether `calm` was called: nothing that was scheduled begins any more."""
        self.packets = 0
        """Packets sent so far; each has its number as `id` in happenings."""
        self._numbers = count(1)
        self._publics = count(1)

    # --- in general ------------------------------------------------------------

    def inject(self, fault: Fault) -> Guard:
        """Let something go wrong now, until the guard is removed."""
        number = self.next_number()
        self.tell("fault", "", fault=fault.kind, id=number, text=str(fault))
        world = cast("World", self)  # the only one there is
        guard = self.faults[number] = Guard(number, fault, world, None)
        guard.stop = fault.start(world)
        return guard

    def schedule(self, *timed: Timed | Schedule) -> None:
        """Let things go wrong at their hours, in seconds since the world's start."""
        for each in timed:
            if isinstance(each, Schedule):
                self.schedule(*each.faults)
            else:
                self._begin_at(each)

    def _begin_at(self, timed: Timed) -> None:
        def begin() -> None:
            if self.is_calm:
                return
            guard = self.inject(timed.fault)
            if timed.until < inf:
                self.at_time(max(START + timed.until, self.now), guard.remove)

        self.at_time(max(START + timed.at, self.now), begin)

    def forget_fault(self, number: int) -> None:
        """A guard was removed."""
        self.faults.pop(number, None)

    def next_number(self) -> int:
        """A number that no fault has had."""
        return next(self._numbers)

    def next_public(self) -> int:
        """The last part of a public address that no box has had."""
        return next(self._publics)

    # --- of the network ----------------------------------------------------------

    def cut(
        self, ones: Node | Iterable[Node], others: Node | Iterable[Node], *, both: bool = True
    ) -> Guard:
        """Lose everything from one group to another, and back if `both`."""
        return self.inject(Cut(paths(_names(ones), _names(others), both=both)))

    def partition(self, *groups: Node | Iterable[Node]) -> Guard:
        """Let nodes reach each other only within groups; one in two of them is a bridge."""
        return self.inject(Partition(tuple(tuple(_names(group)) for group in groups)))

    def hold(
        self, ones: Node | Iterable[Node], others: Node | Iterable[Node], *, both: bool = True
    ) -> Guard:
        """Keep all packets between two groups until the guard is removed, or `release`."""
        return self.inject(Hold(paths(_names(ones), _names(others), both=both)))

    def release(self, ones: Node | Iterable[Node], others: Node | Iterable[Node]) -> None:
        """Let go what is held between two groups."""
        freed = set(paths(_names(ones), _names(others), both=True))
        for guard in list(self.faults.values()):
            if isinstance(guard.fault, Hold) and freed.issuperset(guard.fault.paths):
                guard.remove()

    def heal(self) -> None:
        """Mend all cuts and partitions, and all special conditions of links."""
        self.links.forget_special()
        for guard in list(self.faults.values()):
            if isinstance(guard.fault, Cut | Partition):
                guard.remove()

    def skew(self, node: Node, by: Seconds = 0.0, *, drift: float = 0.0) -> Guard:
        """Set a node's wall clock wrong."""
        return self.inject(Skew(node.name, by, drift))

    def remove_faults(self) -> None:
        """Mend everything; what crashed stays crashed."""
        self.is_calm = True
        for guard in list(self.faults.values()):
            guard.remove()
        self.links.forget_special()
        self.links.usual = Conditions()

    # --- what is lost --------------------------------------------------------------

    def next_packet(self) -> int:
        """The number of the next packet."""
        self.packets += 1
        return self.packets

    def _dropped(self, link: Link, kind: Kind, size: int, why: str) -> None:
        if self.watchers:
            what = "datagram" if kind == "datagram" else "stream"
            number = self.packets if kind == "datagram" else 0
            self.tell("drop", link[0], to=link[1], what=what, len=size, id=number, why=why)


def _names(nodes: Node | Iterable[Node]) -> list[str]:
    return [each.name for each in nodes] if isinstance(nodes, Iterable) else [nodes.name]
