"""What a caller is told of an exception, whatever that exception does when it is asked.

Its text may raise, hold halves of surrogate pairs (`os.fsdecode` makes them of file
names), or be no text at all. Nothing here raises: it runs where a second error would be
the end of the node.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from meshp2p.errors import Refused
from meshp2p.wire import messages
from meshp2p.wire.messages import pack_error


def outcome_of(error: BaseException, *, show_traceback: bool) -> tuple[int, bytes]:
    """The (status, body) of a call whose handler raised this."""
    if issubclass(type(error), Refused):  # `isinstance` would ask the error itself
        reason = safe_text(lambda: error.reason)  # type: ignore[attr-defined]  # a Refused
        return messages.REFUSED, pack_error("Refused", reason, None)
    shown = None
    if show_traceback:
        shown = safe_text(lambda: "".join(traceback.format_exception(error)))
    kind = safe_text(lambda: type(error).__name__)
    return messages.REMOTE_ERROR, pack_error(kind, safe_text(lambda: str(error)), shown)


def safe_text(say: Callable[[], object]) -> str:
    """What `say` gives, as text that has UTF-8; the rest as escapes."""
    try:
        return str.encode(str(say()), "utf-8", "backslashreplace").decode()
    except BaseException as error:  # noqa: BLE001  # a `__str__` of the user's
        return f"(its text cannot be had: {_name(error)})"


def _name(error: BaseException) -> str:
    # `type.__dict__` goes round a metaclass that has a `__name__` of its own.
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name.encode("utf-8", "replace").decode()


def is_ctrl_c(error: BaseException) -> bool:
    """Whether it may be the user's Ctrl-C, which only ever hits the main thread.

    Such an error ends the user's program. In all other threads a `KeyboardInterrupt` is
    what a handler raised itself, and an error like others.
    """
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and issubclass(type(error), KeyboardInterrupt)
