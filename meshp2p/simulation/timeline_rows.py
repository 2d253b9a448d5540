"""Rows of a picture: messages, lists that thin themselves out, and columns for the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.happening import Fact


@attrs.define(eq=False)
class Message:
    """One packet on its way.

    Args:
        number: Which of all that were sent; decides whether it is kept when there are too many.
        ended: When it was read or lost; None while nobody has said so.
        why: It was lost; "" otherwise.
    """

    number: int
    id: Fact
    sent: Seconds
    sender: int
    receiver: int
    what: str
    size: Fact
    ended: Seconds | None = None
    why: str = ""


@attrs.define(eq=False)
class Thinned:
    """Rows of one kind, of which every `every`-th is kept once there are more than `most`."""

    most: int
    rows: list[Any] = attrs.field(factory=list)
    seen: int = 0
    every: int = 1

    def add(self, row: object) -> None:
        """Count it, and keep it if it is its turn."""
        if self.seen % self.every == 0:
            self.rows.append(row)
        self.seen += 1
        if len(self.rows) > self.most:
            self.rows = self.rows[::2]
            self.every *= 2


@attrs.define(eq=False)
class Texts:
    """Each text once, in the order of its first use."""

    _numbers: dict[str, int] = attrs.field(factory=dict, init=False)

    def number(self, text: str) -> int:
        """What stands for the text."""
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def known(self) -> list[str]:
        """All of them; the number is the place."""
        return list(self._numbers)


MESSAGE: Final = ("sent", "ended", "from", "to", "what", "size", "id", "why")
"""Columns of messages."""


def plain(row: Message, texts: Texts) -> tuple[object, ...]:
    """A message as `MESSAGE` names its parts; -1 for one that nobody has read yet."""
    return (
        row.sent,
        -1 if row.ended is None else row.ended,
        row.sender,
        row.receiver,
        texts.number(row.what),
        str(row.size),
        str(row.id),
        texts.number(row.why),
    )


def rounded(moment: Seconds) -> Seconds:
    """To the microsecond: all moments of a page alike, so that what is at once stays at once."""
    return round(moment, 6)


def columns(names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> dict[str, list[object]]:
    """Rows as columns, which is half the size as JSON."""
    whole: dict[str, list[object]] = {name: [] for name in names}
    for row in rows:
        for column, value in zip(whole.values(), row, strict=True):
            column.append(rounded(value) if isinstance(value, float) else value)
    return whole
