"""What the application hears from its node."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from meshp2p.ids import Address, NodeId, Seconds, show_id

State: TypeAlias = Literal["alive", "suspect", "dead", "left"]


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


Event: TypeAlias = MemberEvent | CallFinished | Synced | Log
