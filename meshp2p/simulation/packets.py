"""What a fault of the network sees of a packet, and what it may answer."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias

import attrs

from meshp2p.ids import Seconds

Link: TypeAlias = tuple[str, str]
"""Names of sender and receiver: one direction."""

Kind: TypeAlias = Literal["datagram", "segment"]
"""A segment is a piece of a stream: where a datagram is lost, it is sent again."""


@attrs.define
class Packet:
    """One packet on one link.

    Args:
        size: Bytes.
        number: Of the packet on its link; draws are keyed by it.
        now: Virtual time at which it is sent.
    """

    sender: str
    receiver: str
    kind: Kind
    size: int
    number: int
    now: Seconds


class Fate(Enum):
    """Answers that carry nothing."""

    PASS = "pass"  # noqa: S105  # the answer, no password
    DROP = "drop"


PASS: Final = Fate.PASS
"""Not my business."""
DROP: Final = Fate.DROP
"""It is lost; a segment is sent again later."""


@attrs.frozen
class Deliver:
    """It arrives, but not as it would have.

    Args:
        after: So much later.
        again: And once more so much later, if it is a datagram.
    """

    after: Seconds = 0.0
    again: Seconds | None = None


Verdict: TypeAlias = Fate | Deliver


class Rule(Protocol):
    """One fault of the network at work."""

    @property
    def kind(self) -> str:
        """Under which name `coverage` counts it; "cut.one_way" counts as "cut" as well."""
        ...

    def concerns(self, link: Link) -> bool:
        """Whether it looks at packets of this link at all; never changes."""
        ...

    def look(self, packet: Packet) -> Verdict:
        """What becomes of a packet, as far as this rule goes."""
        ...
