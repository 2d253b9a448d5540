"""Declaring handlers and calling them by odd names."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest

from meshp2p import AsyncContext, AsyncNode, Context, Message, Node, UsageError, capability


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


class Counter:
    """An agent with state of its own."""

    def __init__(self, start: int) -> None:
        self.total = start

    @capability("count")
    def count(self, by: int, context: Context) -> list[object]:
        """A plain method that takes the context too."""
        self.total += by
        return [self.total, context.caller_handle]

    def plain(self) -> None:
        """Not declared."""

    @capability("count.async", idempotent=True)
    async def count_async(self, by: int) -> int:
        """An async one."""
        return self.total + by


def test_a_method_of_an_object_is_a_handler() -> None:
    """Decorated in its class, given as `counter.count`; each object answers for itself."""
    counter = Counter(40)
    with Node("alice", capabilities=[counter.count, counter.count_async]) as alice:
        assert alice.call("count", 2) == [42, "alice"]
        assert alice.call(counter.count_async, 2) == 44
    with Node("bob") as bob:
        bob.announce(Counter(1).count)
        assert bob.call("count", by=1) == [2, "bob"]


def test_decorating_a_bound_method_says_where_the_decorator_belongs() -> None:
    """It cannot be marked: each access makes a new one."""
    with pytest.raises(UsageError, match="in its class"):
        capability("count")(Counter(1).plain)


def test_two_functions_for_one_capability_are_refused() -> None:
    """One of them would never be called; `announce` replaces, since there that is meant."""

    @capability("deploy")
    def other(target: str) -> str:
        return target

    with pytest.raises(UsageError, match="'deploy' twice"):
        Node("alice", capabilities=[deploy, other])
    with pytest.raises(UsageError, match="'deploy' twice"):
        Node("alice", capabilities=["deploy", deploy])
    with Node("alice", capabilities=[deploy]) as alice:
        alice.announce(other)
        assert alice.call("deploy", "prod") == "prod"


@pytest.mark.parametrize(
    ("name", "value"), [("advertise", 7), ("advertise", "a b"), ("seeds", [7])]
)
def test_an_address_that_is_none_is_named_with_its_argument(name: str, value: object) -> None:
    """And not with another's."""
    with pytest.raises(UsageError, match=f"^{name}="):
        Node("alice", **{name: value})  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("verb", ["auction", "members", "vote"])
def test_both_faces_show_the_same_keywords_to_programs_that_look(verb: str) -> None:
    """Agent frameworks ask a function for its keywords, their types, and whether to await."""
    blocking, awaited = getattr(Node, verb), getattr(AsyncNode, verb)

    assert inspect.iscoroutinefunction(awaited)
    assert not inspect.iscoroutinefunction(blocking)
    assert inspect.signature(blocking).parameters == inspect.signature(awaited).parameters
    hints = [get_type_hints(one) for one in (blocking, awaited)]
    assert [{*one} - {"return"} for one in hints] == [
        {*inspect.signature(blocking).parameters} - {"self"}
    ] * 2


def test_a_misspelt_keyword_of_a_vote_says_which() -> None:
    """It is the verb that complains, in the user's words."""
    with pytest.raises(TypeError, match=r"^vote\(\) .*'qorum'"):
        Node("alice").vote("ship it?", ["yes", "no"], qorum=0.5)  # type: ignore[call-arg]  # the point


@capability("first")
def context_first(context: Context, number: int) -> list[object]:
    """The context may stand anywhere among the parameters."""
    return [context.caller_handle, number]


@capability("middle")
async def context_in_the_middle(one: int, context: AsyncContext, *, two: int = 0) -> list[object]:
    """And what comes by position goes around it."""
    return [one, context.caller_handle, two]


@capability("between", inline=True)
def context_between(one: int, context: Context, two: int = 2, *rest: int) -> list[object]:
    """With as many others as there are."""
    return [one, context.caller_handle, two, *rest]


def test_the_context_may_stand_anywhere() -> None:
    """Arguments by position are the caller's, in the order of the parameters without it."""
    capabilities = [context_first, context_in_the_middle, context_between]
    with Node("alice", capabilities=capabilities) as alice:
        assert alice.call("first", 7) == ["alice", 7]
        assert alice.call("first", number=7) == ["alice", 7]
        assert alice.call("middle", 1, two=3) == [1, "alice", 3]
        assert alice.call("between", 1) == [1, "alice", 2]
        assert alice.call("between", 1, 5, 6, 7) == [1, "alice", 5, 6, 7]
        assert alice.call("between", 1, two=4) == [1, "alice", 4]


def test_a_message_handler_may_take_its_context_first() -> None:
    """As any other handler."""
    with Node("alice") as alice:

        @alice.on_message
        def receive(context: Context, message: Message) -> list[object]:
            return [context.caller_handle, message.body]

        assert alice.call("@alice", "hello") == ["alice", "hello"]


def test_a_handler_without_room_for_what_it_is_told_is_refused() -> None:
    """When it is registered, and not when the first message is lost."""
    with Node("alice") as alice:
        with pytest.raises(UsageError, match="one argument"):
            alice.on_message(lambda: "never")
        with pytest.raises(UsageError, match="one argument"):
            alice.on("member.joined")(lambda: None)
        with pytest.raises(UsageError, match="one argument"):
            alice.on_bid()(lambda one, two: None)  # noqa: ARG005  # one too many
        with pytest.raises(UsageError, match="one argument"):
            alice.on_vote()(lambda *, call: None)  # noqa: ARG005  # by position it cannot be given


def test_mistakes_with_the_decorator_say_what_to_write() -> None:
    """The four that everybody makes once."""
    with pytest.raises(UsageError, match=r"@capability\('name'\)"):
        capability(lambda: None)  # type: ignore[arg-type]  # forgotten parentheses
    with pytest.raises(UsageError, match=r"\.count"):
        Node("alice", capabilities=[Counter(1)])
    with pytest.raises(UsageError, match="of an object"):
        Node("alice", capabilities=[Counter.count])
