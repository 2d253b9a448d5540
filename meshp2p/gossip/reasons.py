"""Why members come, change and return, in words for people."""

from __future__ import annotations

from typing import Final, TypeAlias

from meshp2p.events import MemberEventName, State
from meshp2p.gossip.evidence import REFUTED
from meshp2p.gossip.record import DRAINING, LEFT, Record

Change: TypeAlias = tuple[MemberEventName, str]
"""An event, and its reason."""

INTRODUCED: Final = "it introduced itself"
HEALED: Final = "it was there: it can be reached again"
RESTARTED: Final = "it restarted"
MOVED: Final = "it moved"
DRAINS: Final = "it drains"
TAKES_CALLS: Final = "it takes calls again"


def what_changed(before: State, held: Record, record: Record) -> Change | None:
    """What a member's newer record makes of it, and why; None if that is nothing to be told.

    Args:
        before: What it was taken for.
        held: Its older record.
    """
    if record.state == LEFT:
        return ("member.left", "") if before in ("alive", "suspect") else None
    if before in ("dead", "left"):
        return "member.returned", why_returned(held, record)
    if before == "suspect":
        return "member.updated", REFUTED
    reason = why_updated(held, record)
    return None if reason is None else ("member.updated", reason)


def why_updated(held: Record, record: Record) -> str | None:
    """What a newer record of somebody who is alive says that the older one did not.

    Returns:
        None if that is nothing: it has only proved to be there. Empty if it announces
        something else, of which the member itself tells.
    """
    before, after = held.body, record.body
    if record.state != held.state:
        return DRAINS if record.state == DRAINING else TAKES_CALLS
    if after.transport_key != before.transport_key:
        return RESTARTED
    if record.body_hash == held.body_hash:
        return None
    return "" if set(before.addresses) <= set(after.addresses) else MOVED


def why_joined(by: str, *, is_own: bool, is_listed: bool) -> str:
    """How this node comes to know of somebody.

    Args:
        by: Who told it, for people; empty if nobody did.
        is_own: Whether that was the member itself.
        is_listed: Whether it was on the first list that this node was given, so that it
            may have been there for long.
    """
    if not by:
        return ""
    if is_own:
        return INTRODUCED
    return f"{by} has it on its list" if is_listed else f"{by} told of it"


def why_returned(held: Record, record: Record) -> str:
    """Whether somebody that was gone is another process now, or the same all the time."""
    same = held.body.transport_key == record.body.transport_key
    return HEALED if same else RESTARTED
