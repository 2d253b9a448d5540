"""What the engine says, written to the standard library's log.

Names of strangers reach the log, so they are escaped and cut: a handle with a line break
must not forge a line, one with escape codes not repaint a terminal, one of a megabyte
not fill the disk.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from typing import Final

from meshp2p.events import Log, MemberEvent
from meshp2p.ids import show_id

MAX_VALUE: Final = 200
"""Characters of one value before they are escaped; what is cut off is counted."""
MAX_FIELDS: Final = 32
"""Fields of one line; the engine's own lines have a handful."""

LOGGER: Final = logging.getLogger("meshp2p")
"""Silent until the application configures logging, as a library should be."""
LOGGER.addHandler(logging.NullHandler())

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def report(event: Log | MemberEvent, node: str) -> None:
    """Log one line: `node: text (field=value, ...)`.

    The record has the attributes `node` (str) and `fields` (dict of plain values) for
    whoever logs in a structured form.

    Args:
        event: A member's change of state is logged as "info".
        node: Handle or id of the node that says it.

    Raises:
        Nothing: the application's logging is not the node's to die of.
    """
    try:
        _log(_told(event) if isinstance(event, MemberEvent) else event, node)
    except BaseException:  # noqa: BLE001  # a handler or filter of the application
        _complain()


def _log(event: Log, node: str) -> None:
    level = _LEVELS[event.level]
    if not LOGGER.isEnabledFor(level):
        return
    fields = {name: plain(value) for name, value in event.fields[:MAX_FIELDS]}
    shown = ", ".join(f"{name}={value}" for name, value in fields.items())
    LOGGER.log(
        level,
        "%s: %s%s",
        plain(node),
        plain(event.text),
        f" ({shown})" if shown else "",
        extra={"node": plain(node), "fields": fields},  # flat ones could collide with logging's
    )


def _complain() -> None:
    """Show on standard error what a log's handler raised, as logging itself does."""
    with contextlib.suppress(Exception):  # there may be no standard error
        if logging.raiseExceptions:
            traceback.print_exc()


def plain(value: object) -> str | int | float | None:
    r"""The value as a log may hold it: numbers as they are, all else as one line of text.

    Bytes become hex. What does not print (controls, line breaks, marks that turn the
    direction of writing, halves of surrogate pairs) is escaped as Python does, `\n`.
    """
    if value is None or isinstance(value, int | float):
        return value
    text = value[:MAX_VALUE].hex() if isinstance(value, bytes) else str(value)
    cut = len(text) - MAX_VALUE
    # `repr` escapes exactly what does not print, and the backslash, so nothing is ambiguous.
    escaped = repr(text[:MAX_VALUE])[1:-1]
    return f"{escaped}... and {cut} more" if cut > 0 else escaped


def _told(event: MemberEvent) -> Log:
    member = event.member
    fields: list[tuple[str, object]] = [
        ("member", member.name),
        ("id", show_id(member.id)),
        ("state", member.state),
    ]
    if event.reason:
        fields.append(("reason", event.reason))
    return Log("info", event.name, tuple(fields))
