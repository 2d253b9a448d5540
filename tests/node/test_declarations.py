"""Declaring handlers and calling them by odd names."""

from __future__ import annotations

import pytest

from meshp2p import Node, UsageError, capability


@capability("deploy", inline=True)
def deploy(target: str, self: str = "", capability: str = "") -> list[str]:
    """Has parameters with names that the library uses itself."""
    return [target, self, capability]


def test_keywords_of_a_handler_may_be_called_like_our_own_arguments() -> None:
    """`target` and `self` are the user's words too."""
    with Node("alice", capabilities=[deploy]) as node:
        assert node.call("deploy", target="prod", self="me") == ["prod", "me", ""]
        award = node.auction("deploy", target="prod", capability="x")
        assert award.result(5) == ["prod", "", "x"]


@pytest.mark.parametrize("name", ["on_bid", "on_vote", "on"])
def test_a_decorator_without_its_parentheses_says_so(name: str) -> None:
    """Instead of registering nothing and being silent about it."""
    node = Node("alice")

    def handler(_thing: object) -> None:
        """Never registered."""

    with pytest.raises(UsageError, match=rf"@node\.{name}"):
        getattr(node, name)(handler)


def test_an_event_that_does_not_exist_is_refused_at_the_decorator() -> None:
    """With the names of those that do."""
    with pytest.raises(UsageError, match=r"member\.joined"):
        Node("alice").on("member.exploded")


def test_send_takes_agents_only() -> None:
    """A capability is called, not sent to."""
    with Node("alice", capabilities=[deploy]) as node, pytest.raises(UsageError, match="send"):
        node.send("deploy", "prod")


@pytest.mark.parametrize("name", ["at_most", "budget", "sealed", "timeout"])
def test_parameters_that_the_verbs_use_are_refused_at_declaration(name: str) -> None:
    """They would never arrive."""
    names: dict[str, object] = {}
    exec(f"def handler({name}: int) -> int: return {name}", names)  # noqa: S102  # a parameter's name
    with pytest.raises(UsageError, match=name):
        capability("work")(names["handler"])  # type: ignore[type-var]
