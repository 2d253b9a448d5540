"""`meshp2p status` and `meshp2p discover`: a visit to one member, and what it knows."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import Any, Final

from meshp2p.cli import output
from meshp2p.errors import MeshError
from meshp2p.events import CapabilityInfo, Member
from meshp2p.ids import check_pattern, matches, show_id
from meshp2p.node import Guest

_INDENT: Final = "    "
_EXPLAINED: Final = 16
"""Members of whom `status` says why: each costs a question."""


@contextmanager
def visit(options: Namespace) -> Iterator[Guest]:
    """Look in at the mesh that the options name.

    Raises:
        NobodyThere: No node of it was found.
    """
    seeds = tuple(options.seed)
    guest = Guest(
        namespace=options.namespace, mesh=options.mesh, seeds=seeds, state_dir=options.state_dir
    )
    with guest:
        if not guest.view:
            raise output.NobodyThere(seeds)
        yield guest


def status(options: Namespace) -> int:
    """Print the members."""
    with visit(options) as guest:
        view, shared, members = guest.view, guest.is_key_shared, _sorted(guest.members())
        doubtful = [member for member in members if member.state in ("suspect", "dead")]
        reasons = {each.id: _reason(guest, each) for each in doubtful[:_EXPLAINED]}
    if options.json:
        facts: dict[str, Any] = {"view": view, "shared_key": shared}
        facts["members"] = [
            {**_member_facts(member), "reason": reasons.get(member.id, "")} for member in members
        ]
        output.print_json(facts)
        return output.DONE
    alive = sum(member.state == "alive" for member in members)
    _say(f"{alive} of {len(members)} members alive, as {view} sees them")
    for member in members:
        state = f"{member.state}, draining" if member.draining else member.state
        _say(f"{member.name}  {state}  {member.role}  #{show_id(member.id)}")
        if reasons.get(member.id):
            _say(reasons[member.id], _INDENT)
        able = ", ".join(info.name for info in member.capabilities)
        if able:
            _say(able, _INDENT)
        _say(" ".join(str(address) for address in member.addresses), _INDENT)
    if shared:
        _say("shared key: roles are labels")
    return output.DONE


def discover(options: Namespace) -> int:
    """Print capabilities that fit the pattern, and who has them.

    Raises:
        UsageError: No such pattern.
    """
    pattern = check_pattern("pattern", options.pattern)
    with visit(options) as guest:
        view, members = guest.view, _sorted(guest.members(pattern, state="alive"))
    able: dict[str, list[tuple[Member, CapabilityInfo]]] = defaultdict(list)
    for member in members:
        for info in member.capabilities:
            if matches(pattern, info.name):
                able[info.name].append((member, info))
    if options.json:
        found = {name: [_offer_facts(*offer) for offer in able[name]] for name in sorted(able)}
        output.print_json({"view": view, "pattern": pattern, "capabilities": found})
        return output.DONE
    for name in sorted(able):
        _say(f"{name}  {', '.join(_offer_words(*offer) for offer in able[name])}")
    if not able:
        text = output.printable(f"nobody announces {pattern!r}, as {view} sees it")
        print(f"meshp2p: {text}", file=sys.stderr)
    return output.DONE


def _offer_words(member: Member, info: CapabilityInfo) -> str:
    return f"{member.name}{'' if info.handler else ' (label)'}"


def _offer_facts(member: Member, info: CapabilityInfo) -> dict[str, Any]:
    return {
        "handle": member.handle,
        "id": show_id(member.id),
        "callable": info.handler,
        "idempotent": info.idempotent,
        "version": info.version,
        "tags": info.tags,
    }


def _member_facts(member: Member) -> dict[str, Any]:
    return {
        "handle": member.handle,
        "id": show_id(member.id),
        "state": member.state,
        "draining": member.draining,
        "role": member.role,
        "capabilities": [info.name for info in member.capabilities],
        "addresses": [str(address) for address in member.addresses],
    }


def _reason(guest: Guest, member: Member) -> str:
    """The last thing that spoke against it; "" if whoever was asked does not say."""
    try:
        answers = guest.why(f"#{show_id(member.id)}")
    except MeshError:  # it has just left, or is of an older version: the list stands
        return ""
    for _, facts in answers:
        texts = [clue["text"] for clue in facts["clues"] if clue["text"]]
        if texts:
            return f"since {facts['since_s']:.0f} s: {texts[-1]}"
    return ""


def _sorted(members: Sequence[Member]) -> list[Member]:
    return sorted(members, key=lambda member: (member.handle, member.id))


def _say(text: str, indent: str = "") -> None:
    """Print within the terminal's width."""
    width = max(20, shutil.get_terminal_size().columns)
    for line in wrap(
        output.printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent or _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        print(line)
