"""A mesh of agents without a coordinator: every agent embeds a node, no node is special.

    from meshp2p import Node, capability

    @capability("greet")
    def greet(name: str) -> str:
        return f"hello {name}"

    with Node("alice", capabilities=[greet]) as node:
        print(node.call("greet", "bob"))
"""

# ruff: noqa: E402  # what cannot run here is said before anything else fails

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # a clone is run without asking its metadata
    raise ImportError(
        "meshp2p needs Python 3.11 or newer, this is {}.{}; install one, for example with "
        "`uv python install 3.11`".format(*sys.version_info[:2]),
        name="meshp2p",
    )
if sys.platform == "win32":
    raise ImportError(
        "meshp2p runs on Linux and macOS; on Windows use WSL (`wsl --install`, then the same "
        "commands in there)",
        name="meshp2p",
    )

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
    Undecided,
    UnknownMember,
    Unreachable,
    UsageError,
)
from meshp2p.events import CapabilityInfo, Member, MemberEvent
from meshp2p.node import AsyncAward, AsyncNode, Award, Node
from meshp2p.runtime.capability import capability
from meshp2p.runtime.context import AsyncContext, Context
from meshp2p.runtime.handlers import Message

__version__ = "0.1.0"

__all__ = [
    "AsyncAward",
    "AsyncContext",
    "AsyncNode",
    "Award",
    "Ballot",
    "Bid",
    "CapabilityInfo",
    "Certificate",
    "Closed",
    "Context",
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
    "StartError",
    "StateUnusable",
    "Undecided",
    "UnknownMember",
    "Unreachable",
    "UsageError",
    "VoteCall",
    "VoteResult",
    "capability",
]
