"""What a node counts, by name; `docs/statistics.md` shows it to users."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SIZES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "members": "members alive or suspect, this node included",
        "slowness": "by how much this node waits longer because it is unwell; 1 if it is well",
        "clocks_off": "members, this node included, whose wall clocks are known to be wrong",
        "sessions": "members with whom datagrams are sealed",
        "streams": "connections, both directions",
        "calls_open": "own calls without an answer",
        "waits_open": "`wait_for` under way",
        "handlers_running": "requests of others at work here",
        "peers_remembered": "members whose addresses are kept on disk",
    }
)
"""How much there is now."""

TRAFFIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        "datagrams_sent": "datagrams sent",
        "datagram_bytes_sent": "their bytes, without UDP and IP headers",
        "datagrams_received": "datagrams received, from whomever",
        "datagram_bytes_received": "their bytes",
        "stream_bytes_sent": "bytes written to connections, sealed",
        "stream_bytes_received": "bytes read from connections",
        "news_dropped": "datagrams not sent because the budget of bytes was spent",
        "streams_held": "times that a connection waited for the same reason",
    }
)
"""What went over the network since the start."""

MEMBERSHIP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "probes": "questions whether a member is there",
        "asked_by_stream": "the same by connection, where no datagram was answered",
        "suspicions": "members that this node began to suspect, whoever accused first",
        "accusations": "accusations that this node signed",
        "false_accusations": "accusations of its own that were refuted",
        "clock_skews": "times that a wall clock, perhaps this node's own, was found to be wrong",
        "clones": "times that two processes were seen to sign with one key",
        "deaths": "members that this node took for dead",
        "refutations": "times that this node proved to be there when others doubted it",
        "accusers_distrusted": "accusations that counted for nothing: their authors err too often",
        "deaths_unchecked": "members buried on the word of several, since too many were dead",
        "amnesties": "times that this node stood still, and so accused nobody",
        "digests": "times that this node compared its view with a member's, by 1,024 bytes",
        "sessions_rekeyed": "times that a member's datagrams got new keys in place of old ones",
        "leases": "version lines that were taken only because they last longer",
        "syncs": "full lists received",
        "syncs_answered": "full lists given",
        "sync_lost": "full lists asked for in vain",
        "sync_skipped": "full lists not asked for, since too many questions were open",
        "nacks_sent": "times that this node told of an answer that did not come by",
        "datagram_forwarded": "datagrams passed on for a member that could not reach another",
    }
)
"""What membership did since the start."""

CALLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "call_retried": "calls tried again at another member",
        "call_repeated": "calls with a key asked again at the same member",
        "stream_retried": "connections tried at another address",
        "stream_lost": "connections that broke",
        "stream_moved": "connections that ended since one of their ends got another address",
        "message_dropped": "messages that could not be handed to this agent",
    }
)
"""What calls went through since the start."""

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "datagram_dropped": "datagrams that were not for this mesh, forged, or replayed",
        "datagram_unknown": "datagrams of a later version",
        "datagram_refused": "times that a machine said that nobody listens there",
        "datagrams_malformed": "sealed datagrams that made no sense",
        "items_unknown": "items of a later version",
        "forwarding_refused": "datagrams not passed on for a member that asked too often",
        "repairs_refused": "comparisons of views not answered for a member that asked too often",
        "lists_refused": "questions of members not answered to one that had asked too much already",
        "claims_stale": "news of members that was old",
        "claims_refused": "news that broke a rule, or had a wrong signature",
        "claims_unproved": "news whose credential chain did not hold",
        "claims_dropped": "news for which there was no room",
        "records_malformed": "records of a list that made no sense",
        "members_refused": "members for whom there was no room",
        "request_malformed": "requests that made no sense",
        "answer_malformed": "answers that made no sense",
        "stream_dropped": "connections that proved to be of nobody of this mesh",
        "stream_refused": "connections refused because there were too many",
        "body_stalled": "bodies given up because no more of them came",
        "handshakes_unanswered": "members that did not answer a handshake",
    }
)
"""What was refused, dropped or ignored since the start."""

PROCESS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inline_slow": "inline handlers that took longer than 5 ms, while gossip waited",
        "inline_slowest_us": "the slowest of them, microseconds",
        "clock_lag_us": "how late this process looked at the clock, at worst, microseconds",
        "datagrams_unsent": "datagrams that this machine refused to send: no network, no room",
        "results_awaited": "results of awarded work that somebody waits for",
    }
)
"""How well the process keeps up."""

ENGINE: Final[tuple[str, ...]] = (*SIZES, *TRAFFIC, *MEMBERSHIP, *CALLS, *REFUSED)
"""What every engine counts, if only to 0."""
