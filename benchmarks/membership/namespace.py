"""A network of this benchmark's own, in which nothing else is counted and hosts fall silent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

_INSIDE: Final = "MESHP2P_BENCHMARK_NAMESPACE"
"""Set in the environment of whoever has entered already."""
FIRST_GROUP: Final = 21_000
"""Each process runs in a group of its own, by which the firewall knows what it sends."""

_RULES: Final = """
add table inet silence
add set inet silence gone { type ipv4_addr; }
add set inet silence mute { type gid; }
add chain inet silence out { type filter hook output priority 0; policy accept; }
add chain inet silence in { type filter hook input priority 0; policy accept; }
add rule inet silence out meta skgid @mute meta mark set 1
add rule inet silence in meta mark 1 drop
add rule inet silence in ip daddr @gone drop
"""
"""What a silent host sends is marked and lost on arrival, so that it does not notice; what
is sent to it is lost likewise, so that nobody else notices either."""


def is_inside() -> bool:
    """Whether this process has a network of its own."""
    return _INSIDE in os.environ


def enter() -> None:
    """Start this program again in a network and process namespace of its own, if it may.

    Whatever it starts there ends with it, and the network vanishes with the last of them.
    """
    wanted = ("unshare", "ip", "nft")
    if is_inside() or os.geteuid() != 0 or not all(shutil.which(each) for each in wanted):
        return
    os.environ[_INSIDE] = "1"
    options = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    again = [sys.executable, "-m", "benchmarks.membership", *sys.argv[1:]]
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", *options, *again])  # noqa: S606, S607  # this very program


def prepare() -> None:
    """Bring its loopback up, and let hosts be silenced."""
    _run("ip", "link", "set", "lo", "up")
    _run("nft", "-f", "-", given=_RULES)


def silence(host: str, group: int) -> None:
    """Lose all that is sent to this address, and all that this group's processes send."""
    _run("nft", "add", "element", "inet", "silence", "gone", f"{{ {host} }}")
    _run("nft", "add", "element", "inet", "silence", "mute", f"{{ {group} }}")


def unsilence(host: str, group: int) -> None:
    """Let it be heard again."""
    _run("nft", "delete", "element", "inet", "silence", "gone", f"{{ {host} }}")
    _run("nft", "delete", "element", "inet", "silence", "mute", f"{{ {group} }}")


def unsilence_all() -> None:
    """Let all be heard again."""
    _run("nft", "flush", "set", "inet", "silence", "gone")
    _run("nft", "flush", "set", "inet", "silence", "mute")


def _run(*command: str, given: str = "") -> None:
    subprocess.run(command, input=given, text=True, check=True)  # noqa: S603  # fixed programs
