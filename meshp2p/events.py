"""What the application hears from its node."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, TypeAlias

import attrs

from meshp2p.ids import Address, NodeId, Seconds, show_id

State: TypeAlias = Literal["alive", "suspect", "dead", "left"]

_SHORTLY_BEFORE: Final[Seconds] = 10.0
"""Before the first clue: an answer may have been missed for as long as a probe goes on."""


@attrs.frozen
class CapabilityInfo:
    """One capability as its owner announces it.

    Args:
        limit: Calls at once, 0 for no limit of its own.
        handler: False for a label: it is found but receives no calls.
        idempotent: Running it twice does no harm, so it may be tried again elsewhere.
        tags: For the user's own filtering.
    """

    name: str
    version: str = ""
    limit: int = 0
    handler: bool = True
    idempotent: bool = False
    tags: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Member:
    """A member as this node sees it at one moment.

    Args:
        load: Calls it was running when it last answered us; None if it never did.
        rtt: Smoothed round trip in seconds; None before the first ack.
        joined_at: Node's monotonic clock.
        last_seen: Node's monotonic clock; when it last proved to be there.
        draining: It is there, but asks for no new calls: only those under way go on.
    """

    id: NodeId
    handle: str
    namespace: str
    role: str
    capabilities: tuple[CapabilityInfo, ...]
    addresses: tuple[Address, ...]
    state: State
    load: int | None = None
    rtt: Seconds | None = None
    joined_at: Seconds = 0.0
    last_seen: Seconds = 0.0
    draining: bool = False

    @property
    def name(self) -> str:
        """Its handle, or the beginning of its id."""
        return self.handle or show_id(self.id)[:8]


MemberEventName: TypeAlias = Literal[
    "member.joined",
    "member.updated",
    "member.suspected",
    "member.failed",
    "member.left",
    "member.returned",
]


@attrs.frozen
class MemberEvent:
    """A member's change of state, as this node saw it. `reason` is for people."""

    name: MemberEventName
    member: Member
    reason: str = ""


@attrs.frozen
class Cut:
    """What changed among the members until the list had settled: one batch.

    Events that come together (a machine dies with twenty members on it) are told together.
    None is left out and none is merged with another: whoever died and came back within
    the batch is in it twice, first as failed, then as returned.

    Args:
        events: In the order in which they happened.
        view_hash: 64 bits that are equal for nodes that see the same members, each in the
            same version, alive, dead or left.
        alive: Members alive or suspect when the batch ended, this node included.
    """

    name: ClassVar[str] = "members"
    events: tuple[MemberEvent, ...]
    view_hash: int
    alive: int


@attrs.frozen
class ClockSkew:
    """A wall clock is wrong by more than `Config.clock_skew`; told once until it is right.

    Args:
        member: Whose; this node itself if `is_own`.
        seconds: By how much it is ahead; negative if it is behind. Of the clock of this node;
            if that is wrong, as most say, of theirs.
        uncertainty: Give or take: half of the round trip, and what whole seconds leave open.
        judged_by: Members by whose clocks this node judges its own. With fewer than three
            nobody knows which of two clocks is wrong, and the other one is told of.
    """

    name: ClassVar[str] = "clock.skewed"
    member: Member
    is_own: bool
    seconds: Seconds
    uncertainty: Seconds
    judged_by: int

    @property
    def text(self) -> str:
        """For people."""
        whose = "this node's" if self.is_own else "its"
        where = "ahead" if self.seconds > 0 else "behind"
        return f"{whose} clock is {abs(self.seconds):.0f} s {where}, +-{self.uncertainty:.1f} s"


ClueKind: TypeAlias = Literal[
    "answered",
    "silent",
    "refused",
    "reset",
    "accused",
    "suspected",
    "acquitted",
    "refuted",
    "updated",
    "failed",
    "left",
    "returned",
    "cloned",
    "clock",
]


@attrs.frozen(kw_only=True)
class Clue:
    """One thing that speaks for or against a member. Times on the node's monotonic clock.

    Args:
        at: When it was noted, for the last time if it was several times in a row.
        first_at: When it was noted first.
        times: How often in a row.
        kind: What a probe of this node's own came to (`answered`, `silent`, `refused`,
            `reset`), what somebody signed (`accused`), what became of the member, or that its
            `clock` is wrong.
        text: For people.
        rtt: Round trip of the probe that was answered, seconds.
        by: Who signed the accusation, and `by_name`: its handle, if known.
        unix: Wall clock of whoever accused, Unix seconds.
        statement: The accusation as it travelled, signature included.
    """

    at: Seconds
    first_at: Seconds
    kind: ClueKind
    text: str = ""
    times: int = 1
    rtt: Seconds | None = None
    by: NodeId | None = None
    by_name: str = ""
    unix: int | None = None
    statement: bytes = attrs.field(default=b"", repr=False)

    def is_like(self, other: Clue) -> bool:
        """Whether it says the same again, if perhaps of another moment."""
        return (self.kind, self.text, self.by) == (other.kind, other.text, other.by)

    def __str__(self) -> str:
        """Without the time."""
        words: str = self.kind
        if self.by is not None:
            words = f"accused by {self.by_name or 'somebody'} #{show_id(self.by)[:8]}"
        if self.text:
            words += f": {self.text}"
        if self.rtt is not None:
            words += f", after {self.rtt * 1e3:.1f} ms"
        return f"{words}, {self.times} times" if self.times > 1 else words


@attrs.frozen
class Stall:
    """This node stood still: its deadline came `late` seconds late.

    Args:
        at: When it went on, on its monotonic clock.
    """

    at: Seconds
    late: Seconds


@attrs.frozen(kw_only=True)
class Why:
    """Why a node takes a member for alive, suspect, dead or gone. `str()` is for people.

    Args:
        since: When its state began, on the node's monotonic clock, as `now`.
        unix: Wall clock at `now`, Unix seconds.
        clues: The last ones, oldest first; empty if nothing ever spoke against it.
        stalls: When this node itself stood still, and so could not hear anybody.
    """

    member: Member
    since: Seconds
    now: Seconds
    unix: float
    clues: tuple[Clue, ...] = ()
    stalls: tuple[Stall, ...] = ()

    @property
    def accusers(self) -> tuple[NodeId, ...]:
        """Who signed against it, each once, oldest first."""
        return tuple(dict.fromkeys(clue.by for clue in self.clues if clue.by is not None))

    def __str__(self) -> str:
        """One line for each clue, as long ago as it was."""
        return "\n".join([self.summary, *(f"  {line}" for line in self._lines())])

    @property
    def summary(self) -> str:
        """The first line."""
        member = self.member
        words = f"{member.name} #{show_id(member.id)} is {member.state}"
        words += " and drains" if member.draining else ""
        words += f" since {self.now - self.since:.1f} s"
        words += f", last heard {self.now - member.last_seen:.1f} s ago"
        return words if member.rtt is None else f"{words}, round trip {member.rtt * 1e3:.1f} ms"

    def _lines(self) -> list[str]:
        """Clues, and between them own stalls that may explain them."""
        if not self.clues:
            return ["nothing speaks against it"]
        begins = self.clues[0].first_at - _SHORTLY_BEFORE
        told: list[tuple[Seconds, str]] = [(clue.at, str(clue)) for clue in self.clues]
        told += [
            (each.at, f"this node stood still for {each.late:.2f} s")
            for each in self.stalls
            if each.at >= begins
        ]
        told.sort(key=lambda each: each[0])
        return [f"{self.now - at:8.1f} s ago  {text}" for at, text in told]


@attrs.define  # not frozen: made for every call, and freezing doubles the cost
class CallFinished:
    """A command of this node's user has its answer.

    Args:
        number: What the command returned.
        value: Encoded body of the answer, or an object for auctions and votes.
        error: What to raise instead.
    """

    number: int
    value: object = None
    error: Exception | None = None


@attrs.frozen
class Synced:
    """The first full sync is over: the list of members is whole."""

    peer: NodeId


@attrs.frozen
class Log:
    """For the log, with fields that a person will search for."""

    level: Literal["debug", "info", "warning", "error"]
    text: str
    fields: tuple[tuple[str, object], ...] = ()


Event: TypeAlias = MemberEvent | Cut | ClockSkew | CallFinished | Synced | Log
