"""What happens once in an hour, within a run of seconds: keys change, leases end, lines close."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.config import Config
from meshp2p.ids import Seconds

_VALIDITY: Final[Seconds] = 4.0
"""Of a line. It is signed again after a third to a half of it; whole seconds are written down,
so that much less would be none."""
_TOLERANCE: Final[Seconds] = 1.0
"""What is forgiven a clock. As long as five minutes are forgiven, no line expires in a run."""
_COMPARED: Final[Seconds] = 0.5
"""Pause between two members that are asked for longer leases: each asks several of them
before a lease ends, as in two hours."""
_KEYS: Final[Seconds] = 1.0
"""For pairs of a few members; more of them keep their keys for `3 n T`, as `Config` says."""
_IDLE: Final[Seconds] = 0.5
_STREAM_BYTES: Final = 2_000


def hurry(config: Config) -> Config:
    """The same, but hours are seconds; the failure detector keeps its pace."""
    return attrs.evolve(
        config,
        rekey_after=_KEYS,
        idle_close=_IDLE,
        stream_rekey_bytes=_STREAM_BYTES,
        line_validity=_VALIDITY,
        clock_tolerance=_TOLERANCE,
        digest_interval=_COMPARED,
    )
