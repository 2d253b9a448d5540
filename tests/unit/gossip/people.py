"""Members and what they say, for tests that hand a machine its bytes one by one."""

from __future__ import annotations

from typing import Any

from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.messages import Ack, Message, Ping, SuspicionItem, decode_untrusted
from meshp2p.gossip.outputs import Output, SendPlain, Tell
from meshp2p.gossip.record import VersionLine
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId
from meshp2p.wire import codec
from tests.simulation.swim_world import CRYPTO, START, UNIX, identity_of, keys_of

GROUP = keys_of().group_id


def id_of(name: str) -> NodeId:
    """Somebody's node id."""
    return identity_of(name).node_id


def work_off(swim: Swim, now: float) -> float:
    """Let it check all signatures that wait; return the moment after that."""
    while swim.next_deadline() <= now + 0.002:
        now = max(now, swim.next_deadline())
        swim.receive_deadline(now=now)
    return now


def acquaint(*swims: Swim, now: float = START) -> None:
    """Let everybody hold everybody's record, and forget what they wanted to say about it."""
    payloads = [swim.sync_payload() for swim in swims]
    for swim in swims:
        for payload in payloads:
            swim.merge_untrusted(payload, None, now=now)
        work_off(swim, now)
    for swim in swims:
        swim.outputs()


def line_of(swim: Swim) -> VersionLine:
    """Its newest own line."""
    record = swim.own_record()
    if record is None:
        raise AssertionError("a guest has no line")
    return record.line


def signed_line(name: str, like: VersionLine, **changes: int | bytes) -> VersionLine:
    """A line as `name` would sign it, resembling another but for some fields."""
    facts: dict[str, Any] = {
        "node_id": like.node_id,
        "body_hash": like.body_hash,
        "epoch": like.epoch,
        "seq": like.seq,
        "state": like.state,
        "valid_until": like.valid_until,
    }
    private = identity_of(name).node_private
    return VersionLine.signed(CRYPTO, private, GROUP, **(facts | changes))


def accusation(name: str, subject: VersionLine, **changes: int | bytes) -> Accusation:
    """What `name` would sign against a version of somebody, in its own name unless told."""
    facts: dict[str, Any] = {
        "subject": subject.node_id,
        "version": subject.version,
        "accuser": id_of(name),
        "unix": int(UNIX + START),
        "evidence": 0,
    }
    private = identity_of(name).node_private
    return Accusation.signed(CRYPTO, private, GROUP, **(facts | changes))


def datagram(*items: list[Any]) -> bytes:
    """A plaintext with these items."""
    return codec.pack(list(items))


def accuse(accuser: str, subject: VersionLine, **changes: int | bytes) -> bytes:
    """A plaintext that carries an accusation."""
    return datagram(SuspicionItem(accusation(accuser, subject, **changes).raw).wire())


def ping(seq: int = 1, view_hash: int = 0) -> bytes:
    """A plaintext that asks whether somebody is there."""
    return datagram(Ping(seq, view_hash).wire())


def ack(seq: int, view_hash: int = 0, load: int = 0) -> bytes:
    """A plaintext that answers."""
    return datagram(Ack(seq, view_hash, load).wire())


def said(outputs: list[Output], to: str) -> list[Message]:
    """Everything that was sent to somebody."""
    return [
        message
        for output in outputs
        if isinstance(output, SendPlain) and output.to == id_of(to)
        for message in decode_untrusted(output.plaintext)
    ]


def events(outputs: list[Output]) -> list[str]:
    """Names of the events told, and the texts of log lines."""
    told = [output.event for output in outputs if isinstance(output, Tell)]
    return [str(getattr(event, "name", getattr(event, "text", ""))) for event in told]


def state_of(swim: Swim, name: str) -> str | None:
    """In which state it believes somebody to be."""
    member = swim.member(id_of(name))
    return None if member is None else member.state
