"""A mesh of agents without a coordinator: every agent embeds a node, no node is special.

from meshp2p import Node, capability

@capability("greet")
def greet(name: str) -> str:
return f"hello {name}"

with Node("alice", capabilities=[greet]) as node:
print(node.call("greet", "bob"))
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshp2p.consensus import Ballot, Bid, Certificate, Offer, Policy, VoteCall, VoteResult
    from meshp2p.errors import (
        Closed,
        DeadlineExceeded,
        MeshError,
        NoBids,
        NoCapableMember,
        OutcomeUnknown,
        Overloaded,
        PeerLost,
        PortTaken,
        Refused,
        RemoteError,
        ResultError,
        StartError,
        StateUnusable,
        TooFewMembers,
        Undecided,
        UnknownMember,
        Unreachable,
        UsageError,
    )
    from meshp2p.events import (
        CapabilityInfo,
        ClockSkew,
        Clue,
        Cut,
        Member,
        MemberEvent,
        Stall,
        Why,
    )
    from meshp2p.node import AsyncAward, AsyncNode, Award, Node
    from meshp2p.runtime.capability import capability
    from meshp2p.runtime.context import AsyncContext, Context
    from meshp2p.runtime.handlers import Message

__version__ = "0.1.0"

_HOMES: Final = {
    "AsyncAward": "meshp2p.node",
    "AsyncContext": "meshp2p.runtime.context",
    "AsyncNode": "meshp2p.node",
    "Award": "meshp2p.node",
    "Ballot": "meshp2p.consensus",
    "Bid": "meshp2p.consensus",
    "CapabilityInfo": "meshp2p.events",
    "Certificate": "meshp2p.consensus",
    "ClockSkew": "meshp2p.events",
    "Closed": "meshp2p.errors",
    "Clue": "meshp2p.events",
    "Context": "meshp2p.runtime.context",
    "Cut": "meshp2p.events",
    "DeadlineExceeded": "meshp2p.errors",
    "Member": "meshp2p.events",
    "MemberEvent": "meshp2p.events",
    "MeshError": "meshp2p.errors",
    "Message": "meshp2p.runtime.handlers",
    "NoBids": "meshp2p.errors",
    "NoCapableMember": "meshp2p.errors",
    "Node": "meshp2p.node",
    "Offer": "meshp2p.consensus",
    "OutcomeUnknown": "meshp2p.errors",
    "Overloaded": "meshp2p.errors",
    "PeerLost": "meshp2p.errors",
    "Policy": "meshp2p.consensus",
    "PortTaken": "meshp2p.errors",
    "Refused": "meshp2p.errors",
    "RemoteError": "meshp2p.errors",
    "ResultError": "meshp2p.errors",
    "Stall": "meshp2p.events",
    "StartError": "meshp2p.errors",
    "StateUnusable": "meshp2p.errors",
    "TooFewMembers": "meshp2p.errors",
    "Undecided": "meshp2p.errors",
    "UnknownMember": "meshp2p.errors",
    "Unreachable": "meshp2p.errors",
    "UsageError": "meshp2p.errors",
    "VoteCall": "meshp2p.consensus",
    "VoteResult": "meshp2p.consensus",
    "Why": "meshp2p.events",
    "capability": "meshp2p.runtime.capability",
}
"""Where each public name lives. Loaded when first used, so that a program that only
might need a mesh, or a command line that only prints its help, starts at once."""

__all__ = [
    "AsyncAward",
    "AsyncContext",
    "AsyncNode",
    "Award",
    "Ballot",
    "Bid",
    "CapabilityInfo",
    "Certificate",
    "ClockSkew",
    "Closed",
    "Clue",
    "Context",
    "Cut",
    "DeadlineExceeded",
    "Member",
    "MemberEvent",
    "MeshError",
    "Message",
    "NoBids",
    "NoCapableMember",
    "Node",
    "Offer",
    "OutcomeUnknown",
    "Overloaded",
    "PeerLost",
    "Policy",
    "PortTaken",
    "Refused",
    "RemoteError",
    "ResultError",
    "Stall",
    "StartError",
    "StateUnusable",
    "TooFewMembers",
    "Undecided",
    "UnknownMember",
    "Unreachable",
    "UsageError",
    "VoteCall",
    "VoteResult",
    "Why",
    "capability",
]


def cannot_run_here() -> str:
    """One sentence that says what to do; "" if nothing is wrong.

    Whatever is imported before it is asked must be readable to Python 3.8.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  # a clone is run without asking its metadata
        version = ".".join(map(str, sys.version_info[:2]))
        return "meshp2p needs Python 3.11 or newer, this is " + version + ": install a newer one"
    if sys.platform == "win32":
        return "meshp2p runs on Linux and macOS: on Windows use WSL"
    return ""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    reason = cannot_run_here()
    if reason:
        raise ImportError(reason)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All public names, loaded or not."""
    return sorted([*__all__, *globals()])
