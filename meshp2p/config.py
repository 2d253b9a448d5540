"""Every knob: its unit, where the number comes from, and three profiles."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from meshp2p.ids import Seconds

Profile: TypeAlias = Literal["loopback", "lan", "wan"]


@attrs.frozen(kw_only=True)
class Config:
    """How one node behaves. Times are relative seconds, sizes bytes.

    Args:
        probe_interval: One member is probed in each (SWIM's protocol period T).
        ack_timeout: Wait at most so long for a direct ack before others are asked to probe.
        ack_timeout_min: Wait at least so long, however quick the member's answers were.
        indirect_timeout: Wait for an indirect ack after that, then suspicion starts.
        indirect_probes: Members asked (SWIM's k).
        lifeguard: Whether this node doubts itself too: longer waits while it is unwell,
            suspicions that confirmations shorten, amnesty after its own stalls. False is
            plain SWIM, to compare with.
        health_max: Waits and pauses are at most 1 + this times as long.
        suspicion_min_multiplier: Shortest suspicion is this x max(1, log10 n) x T.
        suspicion_max_multiplier: Longest suspicion is this x the shortest.
        gossip_interval: Pause between rounds of gossip while there is news.
        gossip_fanout: Members told in each round.
        retransmit_multiplier: News is sent ceil(this x ln(n + 1)) times (smooth, no
            steps at powers of ten, where others lose members).
        sync_patience: A view hash that differs for this long is looked into, and mended.
        sync_interval: At most one such comparison in each, jittered.
        digest_interval: Views are compared with a random member in each although their
            hashes agree, because those can be forged.
        lost_retry_interval: Each lost member is tried again a few times in it by all together,
            and each seed once by each node, for ever.
        leave_linger: A leaver keeps answering probes for this long.
        line_validity: A version line is believed for this long after it was signed.
        handshake_retry: First pause before a handshake message is sent again; doubles.
        handshake_tries: Then the member counts as unreachable for now.
        rekey_after: A datagram session is replaced after max(this, 3 n T), at most 24 h.
        idle_close: A connection without calls is closed.
        preauth_timeout: A connection must prove who it is within this.
        connect_timeout: Wait for a connection to another node.
        stream_rekey_bytes: A direction of a connection changes its key after these.
        settle_window: A batch of members' changes ends when nothing changed for so long,
            after ten times that at the latest: the news of one failure comes within it.
        join_wait: `start()` waits this long for the first sync when somebody is known,
            and `call()` this long for a capability right after the start.
        default_timeout: Of a call that names none and inherits none.
        drain_timeout: `stop()` waits this long for running handlers.
        handler_slots: Handlers at once; each capability may set a smaller `limit`.
        handler_queue: Calls waiting for a slot; more are `Overloaded`.
        bytes_per_second: Budget of all that is sent, half for datagrams and half for
            streams, of which each may use what the other leaves; None for no limit.
        membership_bytes_per_second: Budget of datagrams where there is none for all. A
            seed that a thousand join through sends a tenth of this.
        clock_tolerance: Credentials are judged this generously.
        clock_skew: A wall clock that is off by more is told of.
        ballot_skew: An elector signs no vote whose wall time is further off than this.
    """

    probe_interval: Seconds = 1.0
    ack_timeout: Seconds = 0.5
    ack_timeout_min: Seconds = 0.1
    indirect_timeout: Seconds = 0.3
    indirect_probes: int = 3
    lifeguard: bool = True
    health_max: int = 8
    suspicion_min_multiplier: float = 2.0
    suspicion_max_multiplier: float = 6.0
    gossip_interval: Seconds = 0.2
    gossip_fanout: int = 3
    retransmit_multiplier: float = 2.0
    sync_patience: Seconds = 2.0
    sync_interval: Seconds = 1.0
    digest_interval: Seconds = 30.0
    lost_retry_interval: Seconds = 30.0
    leave_linger: Seconds = 0.3
    line_validity: Seconds = 7_200.0
    handshake_retry: Seconds = 0.25
    handshake_tries: int = 4
    rekey_after: Seconds = 3_600.0
    idle_close: Seconds = 300.0
    preauth_timeout: Seconds = 5.0
    connect_timeout: Seconds = 3.0
    stream_rekey_bytes: int = 1 << 30
    settle_window: Seconds = 0.5
    join_wait: Seconds = 1.0
    default_timeout: Seconds = 30.0
    drain_timeout: Seconds = 5.0
    handler_slots: int = 64
    handler_queue: int = 256
    bytes_per_second: int | None = None
    membership_bytes_per_second: int = 1 << 20
    clock_tolerance: Seconds = 300.0
    clock_skew: Seconds = 30.0
    ballot_skew: Seconds = 300.0


def lan() -> Config:
    """Members in one building or cloud zone: round trips of a few milliseconds."""
    return Config()


def wan() -> Config:
    """Members on several continents: round trips of up to a second."""
    return Config(
        probe_interval=3.0,
        ack_timeout=1.5,
        ack_timeout_min=0.3,
        indirect_timeout=1.5,
        suspicion_min_multiplier=5.0,
        gossip_interval=0.5,
        gossip_fanout=4,
        sync_patience=6.0,
        sync_interval=3.0,
        digest_interval=60.0,
        lost_retry_interval=60.0,
        leave_linger=1.0,
        handshake_retry=1.0,
        connect_timeout=10.0,
        settle_window=1.5,
        join_wait=3.0,
    )


def loopback() -> Config:
    """Members on one machine: no latency, but schedulers that pause for 100 ms.

    A silent process is dead to all after some two seconds (a killed one in half, by
    the refused packet). Shorter suspicions saw false deaths on a busy 2-core machine.
    """
    return Config(
        probe_interval=0.3,
        ack_timeout=0.2,
        ack_timeout_min=0.2,
        indirect_timeout=0.2,
        suspicion_min_multiplier=3.0,
        suspicion_max_multiplier=3.0,
        gossip_interval=0.05,
        sync_patience=0.6,
        sync_interval=0.3,
        digest_interval=5.0,
        lost_retry_interval=2.0,
        leave_linger=0.1,
        handshake_retry=0.1,
        connect_timeout=1.0,
        settle_window=0.2,
    )


def for_profile(profile: Profile) -> Config:
    """The named profile."""
    return {"loopback": loopback, "lan": lan, "wan": wan}[profile]()
