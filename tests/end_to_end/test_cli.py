"""The commands besides the demo, as a user types them."""

from __future__ import annotations

import json
import signal

import pytest

from tests.end_to_end.shell import Shell, eventually


def test_a_node_is_found_looked_at_and_called(shell: Shell) -> None:
    """`up` in one terminal; `status`, `discover` and `call` in another."""
    shell.up("--handle", "alice", "--capability", "cook")

    status = shell.meshp2p("status")
    discovered = shell.meshp2p("discover")
    echoed = shell.meshp2p("call", "@alice/echo", '"hello"')

    assert status.status == discovered.status == echoed.status == 0
    assert "1 of 1 members alive, as alice sees them" in status.out
    assert "echo, cook" in status.out
    assert "shared key: roles are labels" in status.out
    assert discovered.out.splitlines() == ["cook  alice (label)", "echo  alice"]
    assert json.loads(echoed.out) == "hello"


def test_guests_are_not_members(shell: Shell) -> None:
    """Whoever looks is never counted, not even while others look, too."""
    shell.up("--handle", "alice")
    shell.up("--handle", "bob")
    looks = [shell.start("-m", "meshp2p", "status", "--json") for _ in range(3)]

    seen = [json.loads(look.communicate()[0]) for look in looks]

    for view in seen:
        assert view["view"] in {"alice", "bob"}
        assert [member["handle"] for member in view["members"]] == ["alice", "bob"]


def test_status_shows_the_dead_as_dead(shell: Shell) -> None:
    """A guest repeats what its host found out, not a suspicion of its own."""
    shell.up("--handle", "alice")
    shell.up("--handle", "bob")
    shell.end(shell.up("--handle", "carol"), signal.SIGKILL)

    def states() -> dict[str, str]:
        members = shell.meshp2p("status", "--json").json["members"]
        return {member["handle"]: member["state"] for member in members}

    expected = {"alice": "alive", "bob": "alive", "carol": "dead"}
    assert eventually(lambda: states() == expected)


def test_why_tells_what_the_visited_member_knows(shell: Shell) -> None:
    """A guest has no reasons of its own: it shows those of its host, in words and as JSON."""
    shell.up("--handle", "alice")
    shell.end(shell.up("--handle", "bob"), signal.SIGKILL)
    assert eventually(lambda: "bob  dead" in shell.meshp2p("status").out)

    said, told = shell.meshp2p("why", "bob"), shell.meshp2p("why", "@bob", "--json")
    healthy, nobody = shell.meshp2p("why", "alice"), shell.meshp2p("why", "@carol")
    status = shell.meshp2p("status")

    assert (said.status, told.status, healthy.status, nobody.status) == (0, 0, 0, 3)
    assert said.out.startswith("as alice sees it:\nbob #")
    assert " is dead since " in said.out
    assert "s ago  failed: its machine refuses packets to it" in said.out
    assert told.json["view"] == "alice"
    (bob,) = told.json["members"]
    assert (bob["handle"], bob["state"], bob["clues"][-1]["kind"]) == ("bob", "dead", "failed")
    assert "nothing speaks against it" in healthy.out
    assert "is '@carol'" in nobody.err
    assert "its machine refuses packets to it" in status.out


def test_a_failure_is_a_status_and_one_line(shell: Shell) -> None:
    """No traceback; `tests/node/test_command_line.py` knows them all."""
    shell.up("--handle", "alice")

    missing = shell.meshp2p("call", "multiply", "[1, 0]")

    assert (missing.status, missing.out) == (3, "")
    assert "announces 'multiply'; see what is there" in missing.err
    assert missing.err.count("\n") == 1


def test_a_seed_leads_where_the_directory_does_not(shell: Shell) -> None:
    """A node that is not listed on this machine is found by its address."""
    node = shell.start("-m", "meshp2p", "up", "--handle", "alice", "--json")
    assert node.stdout is not None
    address = json.loads(node.stdout.readline())["addresses"][0]
    shell.runtime = "elsewhere"

    lost = shell.meshp2p("status")
    found = shell.meshp2p("status", "--seed", address, "--json")

    assert lost.status == 3
    assert found.json["view"] == "alice"
    assert [member["handle"] for member in found.json["members"]] == ["alice"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_node_leaves_when_it_is_told_to(shell: Shell, how: signal.Signals) -> None:
    """Ctrl-C and SIGTERM are a goodbye: exit status 0, and the others hear of it."""
    shell.up("--handle", "alice")
    bob = shell.up("--handle", "bob")

    def states() -> dict[str, str]:
        seen = shell.meshp2p("status", "--json").json["members"]
        return {member["handle"]: member["state"] for member in seen}

    assert states() == {"alice": "alive", "bob": "alive"}
    ended = shell.end(bob, how)

    assert (ended.status, ended.err) == (0, "")
    assert eventually(lambda: states().get("bob", "left") == "left")


def test_a_node_says_that_its_seed_does_not_answer(shell: Shell) -> None:
    """Once, on stderr: whoever mistyped an address sees why nobody is there."""
    node = shell.start("-m", "meshp2p", "up", "--seed", "127.0.0.1:9")
    assert node.stderr is not None
    line = node.stderr.readline()
    ended = shell.end(node, signal.SIGTERM)

    assert "nobody of this mesh answers at 127.0.0.1:9; trying again" in line
    assert ended.err == ""


def test_wrong_words_are_one_sentence(shell: Shell) -> None:
    """Exit status 2 and one line; `tests/unit/cli` knows them all."""
    said = shell.meshp2p("up", "--seed", "192.0.2.1:6374")

    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert "--mesh" in said.err


def test_a_taken_port_is_one_sentence(shell: Shell) -> None:
    """Whose port it is cannot be known; that it is taken can be said."""
    node = shell.start("-m", "meshp2p", "up", "--json")
    assert node.stdout is not None
    address = json.loads(node.stdout.readline())["addresses"][0]

    taken = shell.meshp2p("up", "--bind", address)

    assert taken.status == 1
    assert taken.err.count("\n") == 1
    assert address.rpartition(":")[2] in taken.err


UNSUITABLE = """
import runpy, sys
sys.{} = {!r}
sys.argv = ["meshp2p", "demo"]
runpy.run_module("meshp2p", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("version_info", (3, 9, 1, "final", 0), "meshp2p needs Python 3.11 or newer, this is 3.9"),
        ("platform", "win32", "on Windows use WSL"),
    ],
)
def test_what_cannot_run_here_says_so_first(
    shell: Shell, name: str, value: object, advice: str
) -> None:
    """An old Python and Windows hear what to do, before anything else can fail."""
    ended = shell.python("-c", UNSUITABLE.format(name, value))

    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert advice in ended.err
