"""A call finds somebody who can, and brings the answer back, over real sockets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from meshp2p import (
    Context,
    Message,
    NoCapableMember,
    Node,
    RemoteError,
    UnknownMember,
    UsageError,
    capability,
)
from tests.node.conftest import Start
from tests.node.waiting import eventually, know_each_other


@capability("greet")
def greet(name: str) -> str:
    """Say hello."""
    return f"hello {name}"


@capability("echo", inline=True)
def echo(value: object) -> object:
    """Give it back."""
    return value


@capability("where")
def where(ctx: Context) -> str:
    """Tell the caller who it is."""
    return ctx.caller


def test_a_call_by_capability_goes_to_whoever_has_it(start: Start) -> None:
    """The caller names no address and no agent, only what it wants done."""
    alice, _bob = start("alice"), start("bob", capabilities=[greet])

    assert alice.call("greet", "carol") == "hello carol"


def test_keywords_and_positions_arrive_as_they_were_given(start: Start) -> None:
    """A handler sees the arguments of the call, no more and no less."""

    @capability("shape")
    def shape(first: int, second: str = "two", *rest: int, last: bool = False) -> object:
        return [first, second, list(rest), last]

    alice, _bob = start("alice"), start("bob", capabilities=[shape])

    assert alice.call("shape", 1) == [1, "two", [], False]
    assert alice.call("shape", 1, "2", 3, 4, last=True) == [1, "2", [3, 4], True]
    assert alice.call("shape", second="b", first=9) == [9, "b", [], False]


def test_a_call_may_name_the_agent(start: Start) -> None:
    """`@handle/capability` goes to that agent, even if others could do it."""

    @capability("who")
    def bobs() -> str:
        return "bob"

    @capability("who")
    def carols() -> str:
        return "carol"

    alice = start("alice")
    know_each_other(alice, start("bob", capabilities=[bobs]), start("carol", capabilities=[carols]))

    assert [alice.call("@bob/who") for _ in range(5)] == ["bob"] * 5
    assert [alice.call("@carol/who") for _ in range(5)] == ["carol"] * 5


def test_a_call_may_name_the_node_id(start: Start) -> None:
    """`#id/capability` goes to exactly that node, also among replicas."""
    first, second = start("bob", capabilities=[where]), start("bob", capabilities=[where])
    alice = start("alice")
    know_each_other(alice, first, second)

    assert alice.call(f"#{first.id}/where") == alice.id
    assert first.call(f"#{second.id}/where") == first.id


def test_a_message_to_a_handle_is_answered_by_on_message(start: Start) -> None:
    """A bare `@handle` or `#id` reaches the agent itself; its answer comes back."""
    alice, bob = start("alice"), start("bob")

    @bob.on_message
    def answer(message: Message) -> object:
        return {"you": message.sender_handle, "id": message.sender, "said": message.body}

    expected = {"you": "alice", "id": alice.id, "said": [1, "two"]}
    assert alice.call("@bob", [1, "two"]) == expected
    assert alice.call(f"#{bob.id}", [1, "two"]) == expected


def test_send_does_not_wait_for_an_answer(start: Start) -> None:
    """`send` is back while the receiver is still at work."""
    alice, bob = start("alice"), start("bob")
    may_end, seen = threading.Event(), list[object]()

    @bob.on_message
    def receive(message: Message) -> None:
        may_end.wait(5)
        seen.append(message.body)

    alice.send("@bob", {"action": "rollback"})

    assert seen == []
    may_end.set()
    assert eventually(lambda: seen) == [{"action": "rollback"}]


def test_a_label_never_receives_calls(start: Start) -> None:
    """A text among the capabilities is found by `members`, and by nobody's call."""
    alice, bob = start("alice"), start("bob", capabilities=["gpu"])
    know_each_other(alice, bob)

    assert [member.handle for member in alice.members("gpu")] == ["bob"]
    with pytest.raises(NoCapableMember):
        alice.call("gpu", timeout=2)


def test_a_label_beside_a_handler_leaves_the_calls_to_the_handler(start: Start) -> None:
    """Of two members that announce a name, only the one with a handler is called."""
    labelled, able = start("bob", capabilities=["greet"]), start("carol", capabilities=[greet])
    alice = start("alice")
    know_each_other(alice, labelled, able)

    assert [alice.call("greet", "x") for _ in range(10)] == ["hello x"] * 10


def test_replicas_share_a_handle_and_the_work(start: Start) -> None:
    """Several nodes may be called the same; each has its own id and all are used."""
    replicas = [start("bob", capabilities=[slow_id(n)]) for n in range(2)]
    alice = start("alice")
    know_each_other(alice, *replicas)
    assert len({replica.id for replica in replicas}) == 2

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: alice.call("@bob/number"), range(16)))

    assert answers == {0, 1}


def slow_id(number: int) -> object:
    """A capability that tells which replica answered."""

    @capability("number")
    def tell() -> int:
        threading.Event().wait(0.02)
        return number

    return tell


def test_a_node_may_call_itself(start: Start) -> None:
    """Who calls a capability that it has itself is served, without the network."""
    alice = start("alice", capabilities=[greet, where])

    assert alice.call("greet", "me") == "hello me"
    assert alice.call("@alice/where") == alice.id


def test_nobody_can_is_said_with_names_and_numbers(start: Start) -> None:
    """The error names what was looked for and among how many, and that nothing ran."""
    alice, bob = start("alice"), start("bob")
    know_each_other(alice, bob)

    with pytest.raises(NoCapableMember) as raised:
        alice.call("fly", timeout=5)

    assert str(raised.value) == "none of 2 alive members announces 'fly'"
    assert raised.value.maybe_executed is False


def test_an_unknown_agent_is_said_with_its_name(start: Start) -> None:
    """A handle or id that nobody has is another error than a missing capability."""
    alice = start("alice", capabilities=[greet])
    stranger = "a" * 26

    with pytest.raises(UnknownMember, match="none of 1 alive members is '@dave'"):
        alice.call("@dave/greet", "x")
    with pytest.raises(UnknownMember, match=f"none of 1 alive members is '#{stranger}'"):
        alice.call(f"#{stranger}/greet", "x")


def test_a_known_agent_without_the_capability_is_not_unknown(start: Start) -> None:
    """`@bob/fly` with a bob who cannot fly names the capability, not bob."""
    alice, bob = start("alice"), start("bob", capabilities=[greet])
    know_each_other(alice, bob)

    with pytest.raises(NoCapableMember, match="announces 'fly'"):
        alice.call("@bob/fly", timeout=5)


def test_a_young_node_waits_for_a_capability(start: Start) -> None:
    """In its first second a call waits for somebody to come instead of failing."""
    alice = start("alice")

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(alice.call, "greet", "early")
        eventually(lambda: alice.stats()["calls_open"] == 1, within=0.9)
        start("bob", capabilities=[greet])
        assert answer.result(5) == "hello early"


def test_a_capability_announced_later_is_usable_and_one_withdrawn_is_not(start: Start) -> None:
    """`announce` and `withdraw` take effect everywhere while the nodes run."""
    alice, bob = start("alice"), start("bob")
    know_each_other(alice, bob)

    bob.announce(greet)
    eventually(lambda: alice.members("greet"))
    assert alice.call("greet", "x") == "hello x"

    bob.withdraw("greet")
    eventually(lambda: not alice.members("greet"))
    with pytest.raises(NoCapableMember):
        alice.call("greet", "x", timeout=5)
    with pytest.raises(UsageError, match="name='greet' is not announced; announced are: none"):
        bob.withdraw("greet")


def test_what_the_handler_raises_is_told_and_never_recreated(start: Start) -> None:
    """The caller learns type, text, place and who it was, as one kind of error."""

    @capability("break")
    def fall_over() -> None:
        raise ZeroDivisionError("by nothing")

    alice, _bob = start("alice"), start("bob", capabilities=[fall_over])

    with pytest.raises(RemoteError) as raised:
        alice.call("break")

    error = raised.value
    assert (error.type, error.message, error.member) == ("ZeroDivisionError", "by nothing", "bob")
    assert "fall_over" in (error.remote_traceback or "")
    assert len(error.trace) == 32
    assert str(error) == "bob raised ZeroDivisionError: by nothing"


def test_a_handler_that_ends_its_thread_ends_only_its_call(start: Start) -> None:
    """`sys.exit()` in a handler is an error of that handler, not the end of the node."""

    @capability("exit")
    def leave() -> None:
        raise SystemExit(3)

    @capability("exit.async")
    async def leave_later() -> None:
        raise SystemExit(4)

    @capability("exit.inline", inline=True)
    def leave_at_once() -> None:
        raise SystemExit(5)

    @capability("exit.trio", loop="trio")
    async def leave_on_trio() -> None:
        raise SystemExit(6)

    handlers = [leave, leave_later, leave_at_once, leave_on_trio, greet]
    alice, _bob = start("alice"), start("bob", capabilities=handlers)

    for name in ("exit", "exit.async", "exit.inline", "exit.trio"):
        with pytest.raises(RemoteError, match="SystemExit"):
            alice.call(name, timeout=5)
    assert alice.call("greet", "still") == "hello still"


def test_wrong_arguments_are_the_callers_to_see(start: Start) -> None:
    """A call that the handler's signature refuses is an error, and names the argument."""
    alice, _bob = start("alice"), start("bob", capabilities=[greet])

    with pytest.raises(RemoteError, match="name"):
        alice.call("greet")
    with pytest.raises(RemoteError, match="nmae"):
        alice.call("greet", nmae="x")
    with pytest.raises(RemoteError, match="name is int, not str"):
        alice.call("greet", 5)


@pytest.mark.parametrize("size", [0, 1_000, 61 * 1024, 300_000, 1_040_000])
def test_bodies_of_every_size_arrive_whole(start: Start, size: int) -> None:
    """Up to a mebibyte a body is one call, however many frames it takes."""
    alice, _bob = start("alice"), start("bob", capabilities=[echo])
    body = bytes(range(256)) * (size // 256) + b"end"

    assert alice.call("echo", body) == body


def test_a_body_above_a_mebibyte_is_refused_before_it_leaves(start: Start) -> None:
    """The sender is told how large it is and what is allowed."""
    alice, bob = start("alice"), start("bob", capabilities=[echo])

    with pytest.raises(UsageError, match=r"the arguments: 2,100,\d+ bytes; at most 1,048,576"):
        alice.call("echo", bytes(2_100_000))
    assert bob.stats().get("request_malformed", 0) == 0


def test_an_answer_above_a_mebibyte_is_the_handlers_error(start: Start) -> None:
    """The caller gets a sentence instead of silence."""

    @capability("huge")
    def huge() -> bytes:
        return bytes(2_000_000)

    alice, _bob = start("alice"), start("bob", capabilities=[huge])

    with pytest.raises(RemoteError, match="the handler's result: 2,000,005 bytes"):
        alice.call("huge", timeout=5)


def test_what_cannot_travel_is_named_with_its_place(start: Start) -> None:
    """A set deep inside an argument is refused at the sender, with the path to it."""
    alice = start("alice", capabilities=[echo])

    with pytest.raises(UsageError, match=r"the arguments\[0\]\[0\]\['tags'\] is a set; allowed"):
        alice.call("echo", {"tags": {1, 2}})


def test_sixty_four_threads_call_at_once(start: Start) -> None:
    """One node serves all threads of its process; every answer finds its caller."""
    alice, _bob = start("alice"), start("bob", capabilities=[echo])
    together = threading.Barrier(64)

    def ask(number: int) -> object:
        together.wait(10)
        return [alice.call("echo", number * 1_000 + n) for n in range(5)]

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(64)))

    assert answers == [[number * 1_000 + n for n in range(5)] for number in range(64)]


def test_two_nodes_in_one_process_are_two_members(start: Start) -> None:
    """They have ids, ports and locks of their own, and call each other both ways."""
    alice, bob = start("alice", capabilities=[where]), start("bob", capabilities=[where])
    know_each_other(alice, bob)

    assert alice.call("@bob/where") == alice.id
    assert bob.call("@alice/where") == bob.id
    assert not set(alice.addresses) & set(bob.addresses)


@pytest.mark.parametrize(
    ("target", "arguments", "keywords", "text"),
    [
        ("", (), {}, "target='': allowed are"),
        (7, (), {}, "target=7"),
        ("no spaces", (), {}, "target='no spaces': allowed are 1 to 63"),
        ("@bob", (), {}, "target='@bob' is an agent: give one value, its message"),
        ("@bob", (1,), {"x": 2}, "give one value"),
        ("#short/greet", (), {}, "'short' is not a node id"),
        (len, (), {}, "allowed are functions decorated with @capability"),
        ("greet", (), {"timeout": 0}, "timeout=0: allowed are seconds above 0"),
        ("greet", (), {"timeout": "5"}, "timeout='5'"),
        ("greet", (), {"timeout": float("nan")}, "timeout=nan"),
        ("greet", (), {"timeout": float("inf")}, "timeout=inf"),
        ("greet", (), {"key": 5}, "key=5: allowed is a text of at most 256"),
        ("greet", (), {"key": "k" * 257}, "allowed is a text of at most 256"),
        ("greet", (), {"pick": "random"}, "pick='random': this keyword is kept"),
        ("greet", (), {"priority": "high"}, "priority='high'"),
        ("greet", (), {"retries": 3}, "retries=3"),
    ],
)
def test_a_call_that_cannot_be_meant_says_what_is_allowed(
    start: Start,
    target: object,
    arguments: tuple[object, ...],
    keywords: dict[str, object],
    text: str,
) -> None:
    """Wrong arguments of `call` are a UsageError with argument, value and what is allowed."""
    alice = start("alice", capabilities=[greet])

    with pytest.raises(UsageError) as raised:
        alice.call(target, *arguments, **keywords)

    assert text in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"handle": "has space"}, "handle='has space': allowed are 1 to 63"),
        ({"namespace": "a/b"}, "namespace='a/b'"),
        ({"role": "king"}, "role='king': allowed are orchestrator, worker"),
        ({"profile": "moon"}, "profile='moon': allowed are loopback, lan, wan"),
        ({"identity": "clone"}, "identity='clone': allowed are None and 'ephemeral'"),
        ({"discovery": "local"}, "discovery='local': allowed is a list"),
        ({"discovery": ["mdns"]}, "discovery='mdns': allowed are local"),
        ({"seeds": "localhost:1"}, "seeds='localhost:1': allowed is a list"),
        ({"seeds": ["localhost:0"]}, "nobody listens on port 0"),
        ({"seeds": ["10.0.0.7:6374"]}, "give mesh='path of a mesh key'"),
        ({"bind": "0.0.0.0:0"}, "give mesh='path of a mesh key'"),
        ({"bind": 5}, "bind=5: allowed is 'host:port'"),
        ({"bind": "example.org:5"}, "'example.org' is a name"),
        ({"mesh": 5}, "mesh=5: allowed is a path"),
        ({"state_dir": 5}, "state_dir=5: allowed is a path"),
        ({"capabilities": "greet"}, "capabilities='greet': allowed is a list"),
        ({"capabilities": [print]}, "allowed are functions decorated"),
        ({"capabilities": ["no spaces"]}, "capability='no spaces'"),
        ({"advertise": "10.0.0.300:5"}, "is not an address"),
        ({"config": "lan"}, "config='lan'"),
    ],
)
def test_a_node_that_cannot_be_meant_is_refused_when_it_is_made(
    settings: dict[str, object], text: str
) -> None:
    """Wrong arguments of `Node` are told by the constructor, before anything is opened."""
    handle = settings.pop("handle", None)

    with pytest.raises(UsageError) as raised:
        Node(handle, **settings)  # type: ignore[arg-type]  # that is the point

    assert text in str(raised.value)
