"""A node's credential is renewed long before it ends."""

from __future__ import annotations

from meshp2p.engine import Engine
from meshp2p.errors import MeshError
from meshp2p.events import Log
from meshp2p.identity.keys import Crypto
from meshp2p.ids import Seconds


def renew_if_due(engine: Engine, crypto: Crypto, *, unix: float, now: Seconds) -> Log | None:
    """Renew once half of the transport block's life is over, or if it has not begun yet.

    The latter is so where the clock was ahead at the start, and has been put right since.

    Args:
        unix: The wall clock now.

    Returns:
        What to log if it cannot be renewed; it is tried again, and the node goes on
        with what it has.
    """
    identity = engine.identity
    if not identity.needs_renewal(unix):
        return None
    # The engine judges the fresh chain by the wall clock it was told last: before a
    # laptop slept, perhaps, so that this chain would begin in its future.
    engine.receive_wall_clock(unix, now=now)
    try:
        engine.renew_identity(identity.renewed(crypto, unix), now=now)
    except MeshError as error:
        return Log("warning", "the credential cannot be renewed", (("reason", str(error)),))
    return None
