"""Which members are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from meshp2p.events import State
from meshp2p.gossip.member import Row
from meshp2p.ids import matches

StateFilter: TypeAlias = Literal[State, "all"]


@attrs.frozen(kw_only=True)
class Wanted:
    """A question to the list of members. What is None or empty asks for nothing.

    Args:
        pattern: `x`, `x.*` or `*`: with a capability that fits, be it a label.
        tags: With one such capability that has all of these.
    """

    pattern: str = "*"
    state: StateFilter = "alive"
    handle: str | None = None
    namespace: str | None = None
    role: str | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def is_indexed(self) -> bool:
        """Whether the directory of live members narrows the answer down."""
        by_name = self.handle is not None or self.pattern != "*"
        return by_name and self.state in ("alive", "suspect")

    @property
    def is_answered_by_index(self) -> bool:
        """Whether whom the directory gives for the pattern fits, if in that state."""
        others = (self.handle, self.namespace, self.role)
        return self.is_indexed and others == (None, None, None) and not self.tags

    def fits(self, row: Row, state: State) -> bool:
        """Whether a member is asked for.

        Args:
            state: In which it is believed to be, which may be told by somebody else.
        """
        body = row.record.body
        if self.state not in (state, "all") or self.handle not in (None, body.handle):
            return False
        if self.namespace not in (None, body.namespace) or self.role not in (None, body.role):
            return False
        if self.pattern == "*" and not self.tags:
            return True
        return any(
            matches(self.pattern, info.name) and self.tags.items() <= info.tags.items()
            for info in body.capabilities
        )
