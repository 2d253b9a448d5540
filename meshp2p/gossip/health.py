"""How well this node itself is: who is slow must be slow to call others dead."""

from __future__ import annotations

import attrs


@attrs.define
class Health:
    """A score that grows with signs of this node's own trouble, and shrinks with success.

    All its waiting, and the pause between its probes, is `factor` times as long. So a node
    that cannot receive, or is starved of processor time, accuses seldom and late.

    Args:
        worst: The score grows no further; 0 switches all this off.

    Source: Dadgar, Phillips, Currey, "Lifeguard" (arXiv:1707.00788), LHA-Probe.
    """

    _worst: int
    score: int = attrs.field(default=0, init=False)

    @property
    def factor(self) -> int:
        """1 for a healthy node."""
        return self.score + 1

    def better(self) -> None:
        """A probe was answered in time."""
        self.score = max(0, self.score - 1)

    def worse(self, by: int = 1) -> None:
        """Something happened that this node's own trouble would explain.

        A probe failed, and nothing shows that others hear this node; a member accused us; a
        deadline was noticed long after it had passed.
        """
        self.score = min(self._worst, self.score + by)
