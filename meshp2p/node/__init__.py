"""The public face: `Node` blocks, `AsyncNode` is awaited, both have the same verbs."""

from meshp2p.node.asynchronous import AsyncNode
from meshp2p.node.award import AsyncAward, Award
from meshp2p.node.blocking import Node
from meshp2p.node.guest import Guest

__all__ = ["AsyncAward", "AsyncNode", "Award", "Guest", "Node"]
