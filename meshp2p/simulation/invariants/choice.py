"""Whom calls go to: to those who take them, of whom all are found."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from meshp2p.gossip.record import DRAINING
from meshp2p.ids import NodeId
from meshp2p.messaging.requests import Request
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Glimpse, Lookout, Outlook

_Life: TypeAlias = tuple[str, int]
_Try: TypeAlias = tuple[int, int]
"""Number of a request, and which of its tries."""


class Takers(Invariant):
    """The index of capabilities finds whoever takes calls; no new call goes to who drains.

    Judged is the caller by its own list: that a member drains must have stood there before
    the input that led to the call.
    """

    name = "takers"
    promise = "Whoever takes no new calls is left alone, and whoever takes them is found."

    def __init__(self, lookout: Lookout) -> None:
        """Nobody drains."""
        super().__init__(lookout)
        self._draining: defaultdict[_Life, set[NodeId]] = defaultdict(set)
        """By observer; one that knows of nobody is not looked at."""
        self._tried: dict[_Life, set[_Try]] = {}
        lookout.on_row.append(self._row)

    def _row(
        self, outlook: Outlook, member: NodeId, before: Glimpse | None, after: Glimpse | None
    ) -> None:
        drains = after is not None and _is_live(after) and after.record.state == DRAINING
        if drains or (before is not None and after is not None):
            self._is_indexed(outlook, member, after)
        life = (outlook.name, outlook.life)
        if drains:
            self._watch(outlook, life)
            self._draining[life].add(member)
        elif life in self._draining:
            self._draining[life].discard(member)

    def _is_indexed(self, outlook: Outlook, member: NodeId, after: Glimpse | None) -> None:
        """Whether one member is found as its record says; all of them are looked at in the calm."""
        directory = outlook.view.directory
        if after is None or not inside.is_whole(directory):
            return
        takes = _is_live(after) and after.record.state != DRAINING
        for capability in after.record.body.capabilities:
            if (member in directory.find(capability.name)) is not takes:
                who, found = self.call(member), "finds" if not takes else "does not find"
                text = f"{outlook.name} {found} {who} for {capability.name!r}, which "
                self.violate(text + ("takes calls" if takes else "takes none"), outlook.name, who)

    def _watch(self, outlook: Outlook, life: _Life) -> None:
        """From now on look at each new try; those under way are nobody's fault."""
        if not any(self._draining.values()):
            self.lookout.on_input.append(self._input)
        if not self._draining[life]:
            requests = inside.open_requests_of(outlook.engine)
            self._tried[life] = {(each.number, each.tries) for each in requests}

    def _input(self, outlook: Outlook) -> None:
        life = (outlook.name, outlook.life)
        draining = self._draining.get(life)
        if draining:
            tried = self._tried[life]
            for request in inside.open_requests_of(outlook.engine):
                slot = (request.number, request.tries)
                if slot not in tried:
                    tried.add(slot)
                    self._judge(outlook, request, draining)
        elif draining is not None:
            del self._draining[life], self._tried[life]
            if not any(self._draining.values()):
                self.lookout.on_input.remove(self._input)

    def _judge(self, outlook: Outlook, request: Request, draining: set[NodeId]) -> None:
        target, peer = request.target, request.peer
        if peer is None or peer not in draining or target.id is not None or target.handle:
            return
        again = peer in request.tried[:-1]  # who remembers the key is asked, whatever it does now
        owed = peer == outlook.node.id and request.head.hops > 1  # part of work that runs here
        since = outlook.glimpses[peer].since
        if not again and not owed and since < outlook.now:
            who = self.call(peer)
            text = f"{outlook.name} sends a new call of {target.method!r} to {who}, which it has "
            text += f"known to drain for {outlook.now - since:.3f} s"
            self.violate(text, outlook.name, who)

    def at_rest(self) -> None:
        """All rows of all lists: who is found is who takes calls."""
        for outlook in self.lookout.present():
            takers: defaultdict[str, set[NodeId]] = defaultdict(set)
            for row in outlook.view:
                for capability in row.record.body.capabilities if row.takes_calls else ():
                    takers[capability.name].add(row.id)
            directory = outlook.view.directory
            for name in sorted({*takers, *directory.capabilities()}):
                if takers.get(name, set()) != set(directory.find(name)):
                    text = f"{outlook.name} finds other members for {name!r} than take calls"
                    self.violate(text, outlook.name)


def _is_live(glimpse: Glimpse) -> bool:
    return glimpse.state in ("alive", "suspect")
