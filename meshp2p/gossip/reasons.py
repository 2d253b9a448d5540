"""Why members come, change and return, in words for people."""

from __future__ import annotations

from typing import Final

from meshp2p.gossip.record import DRAINING, Record

RESTARTED: Final = "it restarted"
MOVED: Final = "it moved"
DRAINS: Final = "it drains"
TAKES_CALLS: Final = "it takes calls again"


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
