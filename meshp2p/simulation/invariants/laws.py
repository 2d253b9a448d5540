"""I10, I11 and the engine's own laws: sizes, memory, deadlines, and events that make sense."""

from __future__ import annotations

from math import inf
from typing import Final

from meshp2p.events import Cut, MemberEvent
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.invariants import inside
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Glimpse, Lookout, Outlook

_AT_ONCE: Final = 20_000
"""Inputs of one node at one moment of virtual time; more is a loop without an end."""
_MEASURE_EVERY: Final[Seconds] = 1.0
"""Measuring costs as much as some inputs; what grows without bound is found later as well."""
_SLACK: Final[Seconds] = 1.0
"""For a node that stood still when its batch was to end."""


class Bounded(Invariant):
    """I10: queues, caches, tombstones and outstanding probes stay under stated bounds."""

    name = "I10"
    promise = "Nothing that others send makes a node hold more than `wire/limits.py` says."

    def __init__(self, lookout: Lookout) -> None:
        """Measure now and then."""
        super().__init__(lookout)
        lookout.on_look.append(self._look)
        self._again_at: dict[str, Seconds] = {}

    def _look(self, outlook: Outlook) -> None:
        if outlook.last < self._again_at.get(outlook.name, -inf):
            return
        self._again_at[outlook.name] = outlook.last + _MEASURE_EVERY
        for what, size, bound in inside.sizes_of(outlook.engine):
            if not 0 <= size <= bound:
                text = f"{outlook.name} holds {size} of {what}, {bound} are allowed"
                self.violate(text, outlook.name)


class ProbesEnd(Invariant):
    """I10: outstanding probes stay under stated bounds: in number, and in time."""

    name = "probes-end"
    promise = "Whoever is asked whether it is there has answered, or not, within a known time."

    def __init__(self, lookout: Lookout) -> None:
        """Look at all questions now and then."""
        super().__init__(lookout)
        lookout.on_look.append(self._look)

    def _look(self, outlook: Outlook) -> None:
        config = outlook.engine.config
        slowest = 1 + config.health_max  # however well it is by now
        patience = 2 * (config.ack_timeout + config.indirect_timeout) * slowest
        for probe in inside.probes_of(outlook.engine):
            waits = outlook.now - max(probe.sent_at, outlook.woke_at)
            if waits > patience:
                who = self.call(probe.target)
                text = f"{outlook.name} has waited {waits:.3f} s for an answer of {who}"
                self.violate(text, outlook.name, who)


class WellFormedEvents(Invariant):
    """I11: events are well formed per member (joined -> updated* -> left|died)."""

    name = "I11"
    promise = "What the application hears of a member is a story in which one thing follows."

    _AFTER: Final[dict[str, tuple[str | None, ...]]] = {
        "member.joined": (None,),
        "member.returned": (None, "dead", "left"),
        "member.updated": ("alive", "suspect"),
        "member.suspected": ("alive",),
        "member.failed": ("alive", "suspect"),
        "member.left": ("alive", "suspect"),
    }
    """Event to the states of which the application may know before."""
    _TELLS: Final[dict[str, str]] = {
        "member.joined": "alive",
        "member.returned": "alive",
        "member.updated": "alive",
        "member.suspected": "suspect",
        "member.failed": "dead",
        "member.left": "left",
    }

    def __init__(self, lookout: Lookout) -> None:
        """Nobody has heard of anybody."""
        super().__init__(lookout)
        self._told: dict[tuple[str, int], dict[NodeId, str]] = {}
        lookout.hear(MemberEvent, self._event)
        lookout.on_row.append(self._row)

    def _row(
        self, outlook: Outlook, member: NodeId, _before: Glimpse | None, after: Glimpse | None
    ) -> None:
        """Who left, and has been forgotten since its lines expired, joins as if for the first time.

        Of whoever died that is remembered: it returns.
        """
        told = self._told.get((outlook.name, outlook.life), {})
        if after is None and told.get(member) == "left":
            del told[member]

    def _event(self, outlook: Outlook, event: MemberEvent) -> None:
        told = self._told.setdefault((outlook.name, outlook.life), {})
        member = NodeId(event.member.id)
        known, who = told.get(member), self.call(member)
        if known not in self._AFTER[event.name]:
            text = f"{outlook.name} was told {event.name} of {who}, after it was {known}"
            self.violate(text, outlook.name, who)
        if event.member.state != self._TELLS[event.name] or member == outlook.node.id:
            text = f"{outlook.name} was told {event.name} of {who}, which is {event.member.state}"
            self.violate(text, outlook.name, who)
        told[member] = event.member.state

    def at_rest(self) -> None:
        """What was told last is what the list says."""
        for outlook in self.lookout.present():
            told = self._told.get((outlook.name, outlook.life), {})
            for row in inside.view_of(outlook.engine):
                last = told.get(row.id)
                knew = last == row.state or (last == "dead" and row.state == "left")
                if last is not None and not knew:  # that the dead had left is no news
                    text = f"{outlook.name} was told that {self.call(row.id)} is {last}, "
                    self.violate(text + f"and lists it as {row.state}", outlook.name)


class WholeBatches(Invariant):
    """I11: batches keep all events in their order, and their view hashes match."""

    name = "batches"
    promise = "A batch of changes leaves nothing out, and says to which list it led."

    def __init__(self, lookout: Lookout) -> None:
        """Nobody has heard of anybody."""
        super().__init__(lookout)
        self._told: dict[tuple[str, int], list[MemberEvent]] = {}
        self._began: dict[tuple[str, int], Seconds] = {}
        lookout.hear(MemberEvent, self._event)
        lookout.hear(Cut, self._cut)

    def _event(self, outlook: Outlook, event: MemberEvent) -> None:
        told = self._told.setdefault((outlook.name, outlook.life), [])
        if not told:
            self._began[outlook.name, outlook.life] = outlook.now
        told.append(event)

    def _cut(self, outlook: Outlook, cut: Cut) -> None:
        told = self._told.pop((outlook.name, outlook.life), [])
        if list(cut.events) != told:
            text = f"{outlook.name} was told of {len(told)} changes, and of {len(cut.events)} "
            self.violate(text + "in a batch, which are not the same", outlook.name)
        view = inside.view_of(outlook.engine)
        if (cut.view_hash, cut.alive) != (view.hash, view.population - outlook.node.is_guest):
            self.violate(f"{outlook.name} was told of a list that is not its own", outlook.name)

    def at_rest(self) -> None:
        """Nobody waits for ever for the end of a batch."""
        for outlook in self.lookout.present():
            life = (outlook.name, outlook.life)
            longest = 10 * outlook.engine.config.settle_window
            if self._told.get(life) and outlook.now > self._began[life] + longest + _SLACK:
                text = f"{outlook.name} was not told of a batch that began {self._began[life]:.1f}"
                self.violate(text, outlook.name)


class OncePerNonce(Invariant):
    """Nonces: a key seals each counter once, and opens each once: no replay is ever read.

    It sees the nodes that start after it.
    """

    name = "nonce"
    promise = "No packet is read twice, and no key and counter serve two packets."

    def __init__(self, lookout: Lookout) -> None:
        """Hear of every use of every key."""
        super().__init__(lookout)
        lookout.ears.on_misuse.append(self._misuse)

    def _misuse(self, owner: NodeId, how: str) -> None:
        who = self.call(owner)
        self.violate(f"{who} {how}", who)


class TimePasses(Invariant):
    """Deadlines never stay due: after `receive_deadline(now=t)`, `next_deadline() > t`."""

    name = "deadlines"
    promise = "A node never keeps itself busy for ever at one moment."

    def __init__(self, lookout: Lookout) -> None:
        """Count inputs of one moment."""
        super().__init__(lookout)
        self._at: Seconds = -1.0
        self._inputs: dict[str, int] = {}
        lookout.on_another.append(self._another)

    def _another(self, outlook: Outlook) -> None:
        if self._at != self.world.now:
            self._at = self.world.now
            self._inputs.clear()
        count = self._inputs[outlook.name] = self._inputs.get(outlook.name, 1) + 1
        if count > _AT_ONCE:
            self.violate(f"{outlook.name} had {count} inputs at one moment", outlook.name)
