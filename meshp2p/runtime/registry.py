"""What the user's program has given its node to run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, get_args

import attrs

from meshp2p.errors import UsageError
from meshp2p.events import CapabilityInfo, ClockSkew, Cut, MemberEventName
from meshp2p.ids import check_pattern, matches
from meshp2p.runtime.capability import Declared, Handler, declared, read_listener
from meshp2p.wire import limits

EVENT_NAMES: Final[tuple[str, ...]] = (*get_args(MemberEventName), Cut.name, ClockSkew.name)


@attrs.define
class Registry:
    """Handlers by what they answer.

    The user's threads change it while the node's thread reads it, so a dict that is here
    never changes: another takes its place, and changes wait for each other.
    """

    capabilities: Mapping[str, Declared] = attrs.field(factory=dict)
    on_message: Handler | None = None
    bidders: Mapping[str, Handler] = attrs.field(factory=dict)
    voters: Mapping[str, Handler] = attrs.field(factory=dict)
    listeners: Mapping[str, tuple[Handler, ...]] = attrs.field(factory=dict)
    _changing: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def add(self, what: object) -> Declared:
        """Announce a decorated function or a label.

        Raises:
            UsageError: It is neither, or there are too many.
        """
        entry = declared(what)
        name = entry.info.name
        with self._changing:
            changed = {**self.capabilities, name: entry}
            if len(changed) > limits.MAX_CAPABILITIES:
                raise UsageError(
                    f"{name!r} is one capability too many: at most {limits.MAX_CAPABILITIES}"
                )
            self.capabilities = changed
        return entry

    def remove(self, name: str) -> None:
        """Announce it no more.

        Raises:
            UsageError: It was not announced.
        """
        with self._changing:
            if name not in self.capabilities:
                known = ", ".join(sorted(self.capabilities)) or "none"
                raise UsageError(f"name={name!r} is not announced; announced are: {known}")
            left = {known: entry for known, entry in self.capabilities.items() if known != name}
            self.capabilities = left

    @contextmanager
    def added(self, what: object) -> Iterator[None]:
        """Announce it as `add` does, unless what is done within finds that it cannot be.

        Then only this one is taken back: another thread may have added its own meanwhile.

        Raises:
            UsageError: As `add`, or of what is done within.
        """
        name = declared(what).info.name
        before = self.capabilities.get(name)
        entry = self.add(what)
        try:
            yield
        except UsageError:
            with self._changing:
                left = dict(self.capabilities)
                if left.get(name) is entry:
                    del left[name]
                self.capabilities = left if before is None else {**left, name: before}
            raise

    def infos(self) -> list[CapabilityInfo]:
        """What the node's record says."""
        return [entry.info for entry in self.capabilities.values()]

    def add_bidder(self, pattern: str, function: Callable[..., Any]) -> None:
        """Let a function bid for capabilities that fit the pattern."""
        entry = {check_pattern("pattern", pattern): read_listener(function)}
        with self._changing:
            self.bidders = {**self.bidders, **entry}

    def add_voter(self, pattern: str, function: Callable[..., Any]) -> None:
        """Let a function vote on questions that fit the pattern."""
        entry = {check_pattern("pattern", pattern): read_listener(function)}
        with self._changing:
            self.voters = {**self.voters, **entry}

    def add_listener(self, name: str, function: Callable[..., Any]) -> None:
        """Tell a function of events.

        Raises:
            UsageError: No event has that name.
        """
        if name not in EVENT_NAMES:
            raise UsageError(f"event={name!r}: allowed are {', '.join(EVENT_NAMES)}")
        handler = read_listener(function)
        with self._changing:
            heard = (*self.listeners.get(name, ()), handler)
            self.listeners = {**self.listeners, name: heard}


def best_match(handlers: Mapping[str, Handler], name: str) -> Handler | None:
    """The handler whose pattern says most about the name."""
    fitting = [pattern for pattern in handlers if matches(pattern, name)]
    return handlers[max(fitting, key=len)] if fitting else None


def check_event(event: object) -> None:
    """Refuse what is no event, at the decorator and not at its first use.

    Raises:
        UsageError: No event has that name, or the parentheses were forgotten.
    """
    if callable(event):
        raise UsageError("@node.on needs the name of an event: @node.on('member.joined')")
    if event not in EVENT_NAMES:
        raise UsageError(f"event={event!r}: allowed are {', '.join(EVENT_NAMES)}")


def check_decorator(name: str, pattern: object) -> None:
    """Refuse what is no pattern, at the decorator and not at its first use.

    Raises:
        UsageError: It is none, or the parentheses were forgotten.
    """
    if callable(pattern):
        raise UsageError(f"write @node.{name}() with parentheses, or with a pattern in them")
    check_pattern("pattern", pattern)
