"""I5, I8, L2: who is declared dead, after how long, and who may not be."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import Final

from meshp2p.errors import WireError
from meshp2p.events import MemberEvent
from meshp2p.gossip.accusation import DOMAIN, Accusation
from meshp2p.identity.keys import SIGNATURE_BYTES
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.invariants import bounds, inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Glimpse, Lookout, Outlook

_GROUP_BYTES: Final = 16
_EPSILON: Final[Seconds] = 1e-5
"""Deadlines are rounded to a microsecond."""
_STALE: Final[Seconds] = 10.0
"""Refused packets may be held for so long before they speak of a process that is back."""
_ANSWERS: Final = 2.0
"""Probe intervals within which whoever hears of a suspicion refutes it."""


class NoHastyDeath(Invariant):
    """I5: no death without own timer or valid certificate.

    A timer's death comes after a whole suspicion of that very version. One by evidence
    needs a machine that said so, and so a process that was not there.
    """

    name = "I5"
    promise = "Nobody is declared dead who had no time to object."

    def __init__(self, lookout: Lookout) -> None:
        """Remember since when each is suspected by whom."""
        super().__init__(lookout)
        self._since: dict[tuple[str, int, NodeId], tuple[tuple[int, int], Seconds]] = {}
        lookout.on_row.append(self._row)
        lookout.hear(MemberEvent, self._event)

    def _row(
        self, outlook: Outlook, member: NodeId, _before: Glimpse | None, after: Glimpse | None
    ) -> None:
        key = (outlook.name, outlook.life, member)
        if after is None or after.state != "suspect":
            self._since.pop(key, None)
        elif key not in self._since or self._since[key][0] != after.version:
            self._since[key] = (after.version, outlook.now)

    def _event(self, outlook: Outlook, event: MemberEvent) -> None:
        if event.name != "member.failed":
            return
        member = NodeId(event.member.id)
        suspected = self._since.get((outlook.name, outlook.life, member))
        began = inf if suspected is None else suspected[1]
        shortest = bounds.shortest_suspicion(outlook.engine.config, 1)
        if outlook.now - began >= shortest - _EPSILON:
            return
        if not self._was_away(member):
            text = f"{self.call(member)} was declared dead after "
            text += "no suspicion" if began == inf else f"{outlook.now - began:.3f} s"
            text += f" ({event.reason}), though it runs"
            self.violate(text, outlook.name, self.call(member))

    def _was_away(self, member: NodeId) -> bool:
        """Whether its machine may have said that nobody is there."""
        node = self.lookout.node_of(member)
        if node is None or not node.is_running or not self.lookout.is_honest(member):
            return True
        outlook = self.lookout.outlooks.get(node.name)
        if outlook is None or outlook.engine is not node.engine:
            return True  # it has only just come back
        return node.life > 1 and outlook.now - outlook.began < _STALE


class Refutes(Invariant):
    """I5: a live, reachable, refuting member: whoever learns that it is suspected objects."""

    name = "refutes"
    promise = "A node that hears that it is suspected proves at once that it is there."

    def __init__(self, lookout: Lookout) -> None:
        """Hear which accusations each engine believes."""
        super().__init__(lookout)
        self._accused: dict[str, tuple[tuple[int, int], Seconds]] = {}
        lookout.ears.on_belief.append(self._belief)

    def _belief(self, believer: NodeId, _public: bytes, data: bytes) -> None:
        if not data.startswith(DOMAIN):
            return
        payload = data[len(DOMAIN) + _GROUP_BYTES :]
        with suppress(WireError):
            accusation = Accusation.from_bytes_untrusted(payload + bytes(SIGNATURE_BYTES))
            node = self.lookout.node_of(believer)
            if accusation.subject == believer and node is not None and node.is_running:
                if not self._accused:
                    self.lookout.on_input.append(self._input)
                self._accused.setdefault(node.name, (accusation.version, node.now))

    def _input(self, outlook: Outlook) -> None:
        accused = self._accused.get(outlook.name)
        if accused is not None:
            self._object(outlook, *accused)
        if not self._accused:
            self.lookout.on_input.remove(self._input)

    def _object(self, outlook: Outlook, version: tuple[int, int], heard_at: Seconds) -> None:
        own = inside.own_record_of(outlook.engine)
        before_this_life = heard_at < outlook.began
        if before_this_life or own is None or own.version != version or own.has_left:
            del self._accused[outlook.name]
            return
        patience = _ANSWERS * outlook.engine.config.probe_interval
        silent = outlook.now - max(heard_at, outlook.woke_at)
        if silent > patience:
            text = f"{outlook.name} has known for {silent:.3f} s that it is suspected"
            self.violate(text + f" at version {version}, and did not object", outlook.name)


class Amnesty(Invariant):
    """I8: an expired probe spanning own lag > timeout accuses no one."""

    name = "I8"
    promise = "A node that stood still itself accuses nobody of silence, and buries nobody."

    def __init__(self, lookout: Lookout) -> None:
        """Hear whom a node accuses, and of whom it says that it failed."""
        super().__init__(lookout)
        lookout.hear(MemberEvent, self._event)

    def _event(self, outlook: Outlook, event: MemberEvent) -> None:
        config = outlook.engine.config
        awake = outlook.now - outlook.woke_at
        if awake >= config.ack_timeout - _EPSILON:
            return
        member = NodeId(event.member.id)
        row = inside.view_of(outlook.engine).get(member)
        own = event.name == "member.suspected" and row is not None and row.suspicion is not None
        if own and row is not None and row.suspicion is not None:
            own = row.suspicion.accuser == outlook.node.id
        before = outlook.glimpses.get(member)
        buried = event.name == "member.failed" and before is not None
        if buried and before is not None:
            buried = before.suspicion is not None and not event.reason.startswith("its ")
        if own or buried:
            text = f"{outlook.name} stood still for {outlook.stall:.3f} s, and {awake:.3f} s later "
            text += f"it told of {self.call(member)}: {event.name}"
            self.violate(text, outlook.name, self.call(member))


class SilenceIsNoticed(Invariant):
    """L2: a crashed member is detected by all within 2 n T and the longest suspicion."""

    name = "L2"
    promise = "Whoever has crashed is soon dead for everybody who runs."

    def __init__(self, lookout: Lookout) -> None:
        """Look at all lists now and then."""
        super().__init__(lookout)
        self._down: dict[tuple[str, int], dict[NodeId, Seconds]] = {}
        self._slowness: dict[Outlook, int] = {}
        lookout.on_look.append(self._look)

    def _look(self, outlook: Outlook) -> None:
        own = inside.own_record_of(outlook.engine)
        if own is None or own.has_left:
            return
        slowness = max(self._slowness.get(outlook, 1), inside.slowness_of(outlook.engine))
        self._slowness[outlook] = slowness
        members = len(outlook.glimpses)
        patience = bounds.detection(outlook.engine.config, members, slowness=slowness)
        down, now = self._down.setdefault((outlook.name, outlook.life), {}), outlook.now
        for member, glimpse in outlook.glimpses.items():
            other = self.lookout.node_of(member)
            if other is None or other.is_running or not self._is_missed(member, glimpse):
                down.pop(member, None)
                continue
            found = down.setdefault(member, now)
            seen = inside.seen_at(outlook.engine, member) or 0.0
            silent = now - max(found, glimpse.since, seen, outlook.woke_at)
            if silent > patience:
                who = self.call(member)
                text = f"{who} has been silent for {silent:.1f} s, and "
                text += f"{outlook.name} believes that it is {glimpse.state}"
                self.violate(text, outlook.name, who)

    def _is_missed(self, member: NodeId, glimpse: Glimpse) -> bool:
        return glimpse.state in ("alive", "suspect") and self.lookout.is_honest(member)
