"""Every exception of the library, ordered by whose fault it is.

The user's (`UsageError`), the machine's (`StartError`), the other side's
(`RemoteError`, `Refused`, `Overloaded`), the network's (`Unreachable`), nobody's
(`Undecided`, `NoBids`). Strangers can cause exactly one: `WireError`, which never
leaves the engine.

Texts that the other side wrote are kept as they came in their attributes; `str()` shows
them so that they cannot steer the terminal on which they are printed.
"""

from __future__ import annotations

from typing import Final

import attrs

_SHOWN: Final = 8
"""Names in one text: a mesh may have thousands."""


class MeshError(Exception):
    """Base of everything that meshp2p raises on purpose."""


class WireError(MeshError):
    """Bytes from somebody else that are not what the protocol allows."""


class UnknownMessage(WireError):
    """Well formed, but of a kind that this version does not know: counted, ignored."""


class CredentialError(MeshError):
    """A credential chain that does not prove what its holder claims."""


class UsageError(MeshError, ValueError):
    """The caller asked for something that cannot be meant; the text names what is allowed."""


class StartError(MeshError):
    """The node could not start on this machine."""


class PortTaken(StartError):
    """The address given to `bind` is in use."""


class StateUnusable(StartError):
    """The state directory cannot be read or written."""


class Closed(MeshError):
    """The node has stopped, or was never started."""


def _some(names: tuple[str, ...]) -> str:
    """A few of the names, and how many more there are."""
    more = len(names) - _SHOWN
    return _visible(", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else ""))


def _visible(text: str) -> str:
    """The text with escapes for what steers a terminal; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1]
        for letter in text
    )


@attrs.frozen(eq=False)
class Unreachable(MeshError):
    """Nobody could be reached, or whoever was reached is gone.

    Args:
        maybe_executed: False only if the request never left this process, or the
            other side said that it did not start it.
    """

    maybe_executed: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen(eq=False)
class NoCapableMember(Unreachable):
    """No alive member announces the capability."""

    capability: str
    members: int

    def __str__(self) -> str:
        """Say what was looked for, and among how many."""
        return f"none of {self.members} alive members announces {self.capability!r}"


@attrs.frozen(eq=False)
class UnknownMember(Unreachable):
    """No member has this handle or id."""

    target: str
    members: int

    def __str__(self) -> str:
        """Say who was looked for, and among how many."""
        return f"none of {self.members} alive members is {self.target!r}"


@attrs.frozen(eq=False)
class PeerLost(Unreachable):
    """The connection to the member ended before it answered."""

    member: str
    reason: str

    def __str__(self) -> str:
        """Say who was lost, why, and whether the work may have been done."""
        doubt = "it may have run" if self.maybe_executed else "it did not run"
        return f"lost {self.member} before it answered ({self.reason}); {doubt}"


@attrs.frozen(eq=False)
class DeadlineExceeded(MeshError, TimeoutError):
    """The time allowed for the call is over.

    Args:
        waited: Seconds since the call was made.
        maybe_executed: As in `Unreachable`.
    """

    target: str
    waited: float
    maybe_executed: bool = attrs.field(default=False, kw_only=True)

    def __str__(self) -> str:
        """Say what was waited for, how long, and whether it may have been done."""
        doubt = "it may have run" if self.maybe_executed else "it did not run"
        return f"no answer from {self.target} within {self.waited:.3g} s; {doubt}"


@attrs.frozen(eq=False)
class TooFewMembers(DeadlineExceeded):
    """So many members that can be called did not come in time.

    Args:
        target: The capability, or pattern, that was waited for.
        wanted: How many.
        ready: Names of those that can be called.
        others: Names of those that announce it and cannot, with what keeps them.
    """

    wanted: int = attrs.field(default=1, kw_only=True)
    ready: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    others: tuple[str, ...] = attrs.field(default=(), kw_only=True)

    def __str__(self) -> str:
        """Say who is there, and who is not quite."""
        there = f": {_some(self.ready)}" if self.ready else ""
        besides = f"; not callable: {_some(self.others)}" if self.others else ""
        return (
            f"after {self.waited:.3g} s {len(self.ready)} of {self.wanted} members can be called "
            f"for {self.target!r}{there}{besides}"
        )


@attrs.frozen(eq=False)
class RemoteError(MeshError):
    """The handler raised. Its exception is described, never re-created.

    Args:
        type: Name of the exception's class at the other side.
        message: Its text.
        remote_traceback: Its traceback, where the other side shows it.
        member: Handle or id of who ran it.
        trace: The call's trace id (W3C, 32 hex digits), for the logs of both sides.
    """

    type: str
    message: str
    remote_traceback: str | None = None
    member: str = ""
    trace: str = ""

    def __str__(self) -> str:
        """Say who raised what."""
        return _visible(f"{self.member} raised {self.type}: {self.message}")


class ResultError(MeshError):
    """The answer arrived, but is not of the type that was asked for."""


@attrs.frozen(eq=False)
class Refused(MeshError):
    """The other side will not do this for us; the text says what is missing."""

    reason: str
    member: str = ""

    def __str__(self) -> str:
        """Say who refused, and why."""
        return _visible(f"{self.member or 'the member'} refused: {self.reason}")


@attrs.frozen(eq=False)
class Overloaded(MeshError):
    """The other side is full and did not start the call.

    Args:
        retry_after: Seconds after which another try makes sense.
    """

    retry_after: float
    member: str = ""

    def __str__(self) -> str:
        """Say who is full, and when to come back."""
        return f"{self.member or 'the member'} is full; try again in {self.retry_after:.3g} s"


@attrs.frozen(eq=False)
class Undecided(MeshError):
    """The vote has no certified outcome. It is not a no: nothing was decided.

    Args:
        needed: Weight of equal ballots that would have decided.
        tally: What is known: option to weight; never a guess at the rest.
        missing: Handles or ids of electors whose ballots did not arrive.
    """

    question: str
    needed: int
    tally: dict[str, int]
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say what was missing for a decision."""
        counted = ", ".join(f"{option}: {n}" for option, n in self.tally.items()) or "no ballots"
        silent = f"; no ballot from {', '.join(self.missing)}" if self.missing else ""
        return f"{self.question!r} needs {self.needed} equal ballots; has {counted}{silent}"


@attrs.frozen(eq=False)
class NoBids(MeshError):
    """Nobody who was asked made a bid.

    Args:
        asked: How many members were asked.
        declined: How many answered that they do not bid, or declined the award.
    """

    capability: str
    asked: int
    declined: int

    def __str__(self) -> str:
        """Say how many were asked."""
        return (
            f"no bid for {self.capability!r}: {self.asked} members were asked, "
            f"{self.declined} declined"
        )


class OutcomeUnknown(MeshError):
    """It was started and may or may not have happened; look before doing it again."""
