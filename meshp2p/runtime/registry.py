"""What the user's program has given its node to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, get_args

import attrs

from meshp2p.errors import UsageError
from meshp2p.events import CapabilityInfo, MemberEventName
from meshp2p.ids import check_pattern, matches
from meshp2p.runtime.capability import Declared, Handler, declared, read_handler
from meshp2p.wire import limits

EVENT_NAMES: Final[tuple[str, ...]] = get_args(MemberEventName)


@attrs.define
class Registry:
    """Handlers by what they answer. Changed by the front, read by the runner."""

    capabilities: dict[str, Declared] = attrs.field(factory=dict)
    on_message: Handler | None = None
    bidders: dict[str, Handler] = attrs.field(factory=dict)
    voters: dict[str, Handler] = attrs.field(factory=dict)
    listeners: dict[str, list[Handler]] = attrs.field(factory=dict)

    def add(self, what: object) -> Declared:
        """Announce a decorated function or a label.

        Raises:
            UsageError: It is neither, or there are too many.
        """
        entry = declared(what)
        name = entry.info.name
        if name not in self.capabilities and len(self.capabilities) >= limits.MAX_CAPABILITIES:
            raise UsageError(
                f"{name!r} is one capability too many: at most {limits.MAX_CAPABILITIES}"
            )
        self.capabilities[name] = entry
        return entry

    def remove(self, name: str) -> None:
        """Announce it no more.

        Raises:
            UsageError: It was not announced.
        """
        if self.capabilities.pop(name, None) is None:
            known = ", ".join(sorted(self.capabilities)) or "none"
            raise UsageError(f"name={name!r} is not announced; announced are: {known}")

    @contextmanager
    def restored_on_error(self) -> Iterator[None]:
        """Forget what was added within if it cannot be announced."""
        before = dict(self.capabilities)
        try:
            yield
        except UsageError:
            self.capabilities = before
            raise

    def infos(self) -> list[CapabilityInfo]:
        """What the node's record says."""
        return [entry.info for entry in self.capabilities.values()]

    def add_bidder(self, pattern: str, function: Callable[..., Any]) -> None:
        """Let a function bid for capabilities that fit the pattern."""
        self.bidders[check_pattern("pattern", pattern)] = read_handler(function)

    def add_voter(self, pattern: str, function: Callable[..., Any]) -> None:
        """Let a function vote on questions that fit the pattern."""
        self.voters[check_pattern("pattern", pattern)] = read_handler(function)

    def add_listener(self, name: str, function: Callable[..., Any]) -> None:
        """Tell a function of events.

        Raises:
            UsageError: No event has that name.
        """
        if name not in EVENT_NAMES:
            raise UsageError(f"event={name!r}: allowed are {', '.join(EVENT_NAMES)}")
        self.listeners.setdefault(name, []).append(read_handler(function))


def best_match(handlers: dict[str, Handler], name: str) -> Handler | None:
    """The handler whose pattern says most about the name."""
    fitting = [pattern for pattern in handlers if matches(pattern, name)]
    return handlers[max(fitting, key=len)] if fitting else None
