"""What a picture of a run shows, gathered in one pass: pure, and bounded however long the run.

Happenings go in one after the other; `drawing()` gives columns of plain numbers and texts that
`timeline_page` puts into a page. A message is one row with a beginning and an end, a state is
one stretch from change to change, a fault one from start to heal. Where there are too many
of a kind, every second, fourth, eighth... is kept, and `notes` says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import merge
from operator import itemgetter
from typing import Any, Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.happening import Fact, Happening
from meshp2p.simulation.timeline_rows import (
    MESSAGE,
    Message,
    Texts,
    Thinned,
    columns,
    plain,
    rounded,
)

MOSTMESSAGES: Final = 100_000
"""Rows of each, arrived and dropped: a page of some 10 MB that a browser still draws at once."""
MOST_DOTS: Final = 30_000
"""Of each kind."""
MOST_VIEWS: Final = 400_000
"""Changes of belief; a hundred members that all lose and find each other forty times."""

LIVES: Final = ("up", "paused", "crashed", "left")
"""What a lane shows of a node itself."""
BELIEFS: Final = ("unknown", "alive", "suspect", "dead", "left")
"""What a node may believe of a member; the position is the number in the page."""

_LIFE_AFTER: Final = {
    "join": "up",
    "restart": "up",
    "pause": "paused",
    "resume": "up",
    "crash": "crashed",
    "leave": "left",
}
_ALSO_DOTS: Final = frozenset({"crash", "restart", "pause", "resume", "leave", "join"})
_WORLD: Final = -1
"""Lane of what happens to the world."""


@attrs.define(eq=False)
class Timeline:
    """Everything that a picture of a run shows, so far.

    Args:
        names: Of nodes in the order of their lanes; others follow as they appear.
    """

    names: list[str] = attrs.field(factory=list)
    most_messages: int = MOSTMESSAGES
    most_dots: int = MOST_DOTS
    most_views: int = MOST_VIEWS
    ended: Seconds = 0.0
    counts: Counter[str] = attrs.field(factory=Counter)
    lives: list[tuple[int, Seconds, Seconds, str]] = attrs.field(factory=list)
    faults: dict[Fact, list[Any]] = attrs.field(factory=dict)
    violations: list[tuple[Seconds, list[int], str]] = attrs.field(factory=list)
    views: list[tuple[Seconds, int, int, int, str]] = attrs.field(factory=list)
    drops: Thinned = attrs.field(init=False)
    copies: Thinned = attrs.field(init=False)
    dots: dict[str, Thinned] = attrs.field(factory=dict, init=False)
    _lanes: dict[str, int] = attrs.field(factory=dict, init=False)
    _life: dict[int, tuple[Seconds, str]] = attrs.field(factory=dict, init=False)
    _messages: dict[Fact, Message] = attrs.field(factory=dict, init=False)
    _sent: int = attrs.field(default=0, init=False)
    _every: int = attrs.field(default=1, init=False)
    _beliefs: dict[int, dict[int, int]] = attrs.field(factory=dict, init=False)
    _views_end: Seconds | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        names, self.names = list(self.names), []
        for name in names:
            self._lane(name)
        self.drops = Thinned(self.most_messages)
        self.copies = Thinned(self.most_messages)

    def add(self, happening: Happening) -> None:
        """Take in what happened next."""
        self.ended = max(self.ended, happening.at)
        self.counts[happening.kind] += 1
        lane = self._lane(happening.node)
        match happening.kind:
            case "send":
                self._send(happening, lane)
            case "recv":
                self._receive(happening)
            case "drop":
                self._drop(happening, lane)
            case "view":
                self._view(happening, lane)
            case "fault" | "heal":
                self._fault(happening, lane)
            case "violation":
                self._violation(happening, lane)
            case kind:
                if kind in _LIFE_AFTER:
                    self._turn(happening.at, lane, _LIFE_AFTER[kind])
                self._dot(happening, lane)

    def add_all(self, happenings: Iterable[Happening]) -> None:
        """Take in many."""
        for happening in happenings:
            self.add(happening)

    # --- members ---------------------------------------------------------------

    def _lane(self, name: str) -> int:
        """The number of the node's lane; a name that is new gets the next one."""
        if not name:
            return _WORLD
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = len(self.names)
            self.names.append(name)
        return lane

    def _turn(self, at: Seconds, lane: int, state: str) -> None:
        """A node's own state changes; whoever ends or begins anew forgets what it believed."""
        unsaid = (at, "") if state == "up" else (0.0, "up")
        since, before = self._life.get(lane, unsaid)
        if before:
            self.lives.append((lane, since, at, before))
        self._life[lane] = (at, state)
        if state in {"crashed", "left"} and self._beliefs.pop(lane, {}):
            self._note_view((at, lane, _WORLD, 0, ""))

    def _view(self, happening: Happening, lane: int) -> None:
        member = self._lane(str(happening.detail.get("member", "")))
        state = str(happening.detail.get("state", ""))
        self._dot(happening, lane)
        belief = BELIEFS.index(state) if state in BELIEFS else 0
        before = self._beliefs.setdefault(lane, {})
        if _WORLD in (lane, member) or before.get(member, 0) == belief:
            return
        before[member] = belief
        reason = str(happening.detail.get("reason", ""))
        self._note_view((happening.at, lane, member, belief, reason))

    def _note_view(self, row: tuple[Seconds, int, int, int, str]) -> None:
        if len(self.views) < self.most_views:
            self.views.append(row)
        elif self._views_end is None:  # a map with gaps would lie; one that ends early says so
            self._views_end = row[0]

    # --- messages --------------------------------------------------------------

    def _send(self, happening: Happening, lane: int) -> None:
        self._sent += 1
        if self._sent % self._every:
            return
        message = self._message(happening, lane, self._other(happening, "to"))
        self._messages[message.id] = message
        if len(self._messages) > self.most_messages:
            self._every *= 2
            kept = (each for each in self._messages.values() if each.number % self._every == 0)
            self._messages = {each.id: each for each in kept}

    def _receive(self, happening: Happening) -> None:
        message = self._messages.get(happening.detail.get("id", ""))
        if message is None:
            return  # thinned out, or sent before the trace began
        if message.ended is None:
            message.ended = happening.at
        else:
            self.copies.add(attrs.evolve(message, ended=happening.at))

    def _drop(self, happening: Happening, lane: int) -> None:
        sent = self._messages.get(happening.detail.get("id", ""))
        if sent is not None and sent.ended is None:
            lost = self._messages.pop(sent.id)
        elif "from" in happening.detail:
            lost = self._message(happening, self._other(happening, "from"), lane)
        else:
            lost = self._message(happening, lane, self._other(happening, "to"))
        lost.ended = happening.at
        lost.why = str(happening.detail.get("why", "")) or "?"
        self.drops.add(lost)

    def _message(self, happening: Happening, sender: int, receiver: int) -> Message:
        detail = happening.detail
        return Message(
            self._sent,
            detail.get("id", f"#{self._sent}"),
            happening.at,
            sender,
            receiver,
            str(detail.get("what", "")),
            detail.get("len", 0),
        )

    def _other(self, happening: Happening, side: str) -> int:
        return self._lane(str(happening.detail.get(side, "")))

    # --- what befalls them -----------------------------------------------------

    def _fault(self, happening: Happening, lane: int) -> None:
        number = happening.detail.get("id", "")
        if happening.kind == "heal":
            if number in self.faults and self.faults[number][1] is None:
                self.faults[number][1] = happening.at
            return
        name = str(happening.detail.get("fault", "fault"))
        text = str(happening.detail.get("text", name))
        key: Fact = number if number not in self.faults else f"{number}, {happening.at!r}"
        self.faults[key] = [happening.at, None, lane, name, text]

    def _violation(self, happening: Happening, lane: int) -> None:
        detail = happening.detail
        named = str(detail.get("nodes", "")).split(", ")
        lanes = [self._lanes[name] for name in named if name in self._lanes]
        if lane != _WORLD and lane not in lanes:
            lanes.append(lane)
        name, text = str(detail.get("name", "")), str(detail.get("text", ""))
        whole = f"{name}: {text}" if name else text
        self.violations.append((happening.at, lanes, whole))

    def _dot(self, happening: Happening, lane: int) -> None:
        text = ", ".join(f"{name} {value}" for name, value in happening.detail.items())
        kind = happening.kind  # each on its own: many timers never crowd out the one decision
        self.dots.setdefault(kind, Thinned(self.most_dots)).add((happening.at, lane, kind, text))

    # --- the result --------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        """Those that were not lost, in the order in which they were sent."""
        rows = [*self._messages.values(), *self.copies.rows]
        return sorted(rows, key=lambda row: (row.sent, row.number))

    @property
    def dropped(self) -> list[Message]:
        """Those that were lost, in the same order."""
        return sorted(self.drops.rows, key=lambda row: (row.sent, row.number))

    @property
    def notes(self) -> list[str]:
        """What the picture leaves out, in sentences; empty if nothing."""
        notes = [
            f"Of {seen:,} {what} one in {every} is kept."
            for what, seen, every in (
                ("messages", self._sent, self._every),
                ("lost messages", self.drops.seen, self.drops.every),
                ("second copies", self.copies.seen, self.copies.every),
                *((f"{kind} dots", dots.seen, dots.every) for kind, dots in self.dots.items()),
            )
            if every > 1
        ]
        if self._views_end is not None:
            notes.append(f"Beliefs are kept until {self._views_end:.3f} s; later ones are missing.")
        return notes

    def stretches(self) -> list[tuple[int, Seconds, Seconds, str]]:
        """For each node, how long it was in which state; the last ones end with the run."""
        last = [(lane, since, self.ended, state) for lane, (since, state) in self._life.items()]
        never = [
            (lane, 0.0, self.ended, "up")  # a trace that does not say: then it was always there
            for lane in range(len(self.names))
            if lane not in self._life
        ]
        return sorted([*self.lives, *last, *never])

    def drawing(self) -> Mapping[str, object]:
        """All of it as columns that JSON can hold; texts are named by their numbers."""
        texts = Texts()
        return {
            "names": self.names,
            "ended": rounded(self.ended),
            "counts": dict(sorted(self.counts.items())),
            "notes": self.notes,
            "lives": [
                (lane, rounded(since), rounded(until), LIVES.index(state))
                for lane, since, until, state in self.stretches()
            ],
            "faults": [
                (rounded(since), None if until is None else rounded(until), *what)
                for since, until, *what in sorted(self.faults.values(), key=itemgetter(0))
            ],
            "violations": [(rounded(at), *what) for at, *what in self.violations],
            "views": columns(
                ("at", "who", "whom", "belief", "reason"),
                ((*row[:4], texts.number(row[4])) for row in self.views),
            ),
            "messages": columns(MESSAGE, (plain(row, texts) for row in self.messages)),
            "drops": columns(MESSAGE, (plain(row, texts) for row in self.dropped)),
            "dots": columns(
                ("at", "lane", "kind", "text"),
                (
                    (at, lane, texts.number(kind), texts.number(text))
                    for at, lane, kind, text in merge(*(dots.rows for dots in self.dots.values()))
                ),
            ),
            "texts": texts.known,  # last: the lines above fill it
        }
