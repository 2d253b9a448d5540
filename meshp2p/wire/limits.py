"""Every bound on what strangers and members can make this node hold. Bytes unless said."""

from __future__ import annotations

from typing import Final

MAX_DATAGRAM: Final = 1_200
"""Fits one packet on every path that carries IPv6 (RFC 8200, section 5)."""

DATAGRAM_OVERHEAD: Final = 32
"""16 bytes of header, 16 of Poly1305 tag."""

MAX_PLAINTEXT: Final = MAX_DATAGRAM - DATAGRAM_OVERHEAD
"""What one sealed datagram can hold."""

MAX_HANDSHAKE: Final = 2_048
"""One Noise message of a stream's handshake, its payload included."""

MAX_CHAIN: Final = 896
"""One credential chain as it travels."""

MAX_BLOCKS: Final = 4
"""Blocks of a chain: issuer, node, child, transport key."""

MAX_RECORD_BODY: Final = 768
"""The static part of a member's record."""

MAX_RECORD: Final = 65_535
"""One sealed record of a stream, tag included; its length has 16 bits."""

RECORD_TAG: Final = 16

MAX_FRAME_BODY: Final = 60 * 1024
"""One frame of a stream; a longer body goes as several."""

MAX_HEAD: Final = 4_096
"""The head of a request or response, encoded."""

MAX_BODY: Final = 1024 * 1024
"""The body of one call or answer, encoded."""

MAX_SYNC_BODY: Final = 8 * 1024 * 1024
"""The answer to a full sync: some 10,000 records."""

LISTS_AT_ONCE: Final = 16 * 1024 * 1024
"""What one peer may make this node read and send without pause, by questions about members:
ten thousand of them three times, prices included, say from a machine that starts again and
again. A hundred members are 60 kB."""

LISTS_PER_SECOND: Final = 64 * 1024
"""The same in the long run: ten thousand members every 110 seconds. Views that differ are
mended by what is missing, at most once a second, and each time with somebody else."""

REPAIRS_AT_ONCE: Final = 128 * 1024
"""What one member may make this node say by datagram when their views are compared: a newcomer
compares a dozen times while it is young. Where much is missing, a stream brings it."""

REPAIRS_PER_SECOND: Final = 16 * 1024
"""The same in the long run: two questions a second, or some fifteen whole records."""

MAX_REASSEMBLY: Final = 16 * 1024 * 1024
"""What all half-received bodies of one connection may hold together."""

MAX_NODE_REASSEMBLY: Final = 256 * 1024 * 1024
"""The same of all connections of a node: whose holds most is closed. 16 connections that hold
all they may; honest ones hold a few MiB for a moment."""

BODY_SILENCE: Final = 30.0
"""Seconds. A body of which no byte came for so long is given up, at the latest after twice
that. As long as a call waits if nobody says otherwise; and since the bodies under way take
turns, a link needs 600 kB/s at worst, with 16 MiB under way, to bring some of each in time."""

MAX_UNREAD: Final = 64 * 1024 * 1024
"""Answers on one connection that its peer has not read."""

MAX_NODE_UNREAD: Final = 256 * 1024 * 1024
"""The same of all connections of a node: whose holds most is closed."""

FREE_UNREAD: Final = 64 * 1024
"""Unread answers of one connection that do not count towards those of the node: counting
each small answer there would make all of them slower."""

STREAM_CREDIT: Final = 256 * 1024
"""What may be sent on a stream before its receiver asks for more."""

MAX_STREAMS: Final = 512
"""Requests of one peer that this node has open at once: all that 64 slots and a queue of 256
take, and nearly as many again, which hear from the handlers' queue that it is full."""

MAX_QUEUED_FRAMES: Final = 4_096
"""Frames waiting to leave on one connection before new calls are refused."""

MAX_SESSIONS: Final = 4_096
"""Datagram sessions kept; the longest idle goes first."""

MAX_PENDING_HANDSHAKES: Final = 256
"""Handshakes under way on datagrams, ours and theirs together."""

MAX_SEEN_INITS: Final = 4_096
"""Handshakes that others began: remembered, so that a copy costs no exchange of keys."""

MAX_BUDGETS: Final = 1_024
"""Hosts or members whose share of this node's work is kept count of."""

MAX_PREAUTH_STREAMS: Final = 256
"""Accepted connections that have not proved who they are: a mesh of hundreds whose members all
start at once and know one seed. Of more, the one silent longest is cut, and tries again."""

MAX_PREAUTH_STREAMS_PER_HOST: Final = 8
"""The same from one address (one /64 with IPv6)."""

MAX_CONNECTIONS: Final = 2_048
"""Streams open to other nodes, both directions."""

MAX_CONNECTIONS_PER_MEMBER: Final = 3
"""Connections whose other end has proved to be one member. One serves; two stand for a moment
when both dial at once; the third is that of a life that has just ended."""

MAX_HELD_BACK: Final = 1_024
"""Datagrams that wait for the disk when a node starts; more are lost, as datagrams may be."""

MAX_WAITING_PER_PEER: Final = 8
"""Datagrams kept while a handshake is under way."""

MAX_MEMBERS: Final = 20_000
"""Records kept, the dead included."""

UNPACKED_MEMBERS: Final = 128
"""A list of no more is kept as it was read; of longer ones later records are packed."""

MAX_UNVERIFIED: Final = 20_000
"""Records received whose signatures wait to be checked."""

MAX_UNVERIFIED_BYTES: Final = 8 << 20
"""All of them together: half of a mesh of ten thousand, twice."""

SIGNATURES_PER_INPUT: Final = 32
"""Signature checks within one input; the rest waits a millisecond."""

MAX_SUSPICIONS: Final = 8
"""Accusers remembered for one member."""

MAX_CLUES: Final = 16
"""Clues kept about one member, and stalls of this node: what `why` shows."""

MAX_CASES: Final = 4_096
"""Members about whom clues are kept; a clue holds some 500 bytes, the statement included."""

MAX_CLOCKS: Final = 15
"""Members that answered last: by their clocks a node judges its own."""

MAX_ACQUAINTANCES: Final = 256
"""Members whose addresses are kept on disk, so that a node without seeds finds its mesh again."""

MAX_CUT: Final = 10_000
"""Events in one batch; one that is full is told at once."""

MAX_WAITS: Final = 1_024
"""Calls of `wait_for` under way."""

MAX_DEPTH: Final = 32
"""Nesting of a body. msgpack itself would follow 511 levels."""

MAX_ELEMENTS: Final = 131_072
"""Elements of one list or map of a body: an empty list costs 1 byte to send, 56 to hold."""

MAX_NODES: Final = 262_144
"""Values in one body altogether, for the same reason."""

MAX_CAPABILITIES: Final = 64
"""Capability entries in one record."""

MAX_ADDRESSES: Final = 8
"""Addresses in one record."""

MAX_HOPS: Final = 16
"""Calls made by handlers of calls made by handlers, and so on."""

MAX_ELECTORS: Final = 64
"""Members of one electorate."""

MAX_OPTIONS: Final = 64
"""Options of one vote."""

MAX_OPEN_AUCTIONS: Final = 1_024
"""Auctions that this node holds at once, and awards that it has accepted and not finished."""

MAX_OPEN_VOTES: Final = 1_024
"""Votes that this node has called and not closed."""

MAX_DUPLICATES: Final = 256
"""Answers kept for one caller's requests with an idempotency key."""

MAX_DUPLICATE_BYTES: Final = 16 * 1024 * 1024
"""What these answers and their keys may hold for all callers; whose hold most go first."""

DUPLICATE_OVERHEAD: Final = 1_024
"""What one kept answer costs besides its bytes and the letters of its key; measured."""

DUPLICATE_LIFE: Final = 600.0
"""Seconds that an answer is kept for whoever asks again with its key: far longer than a call
and its repetitions take, and short enough that a caller that is gone costs nothing for long."""

MAX_QUEUED_BODIES: Final = 64 * 1024 * 1024
"""Bodies of requests that wait for a free slot."""

MAX_ERROR_TEXT: Final = 16 * 1024
"""An exception's message, and a traceback, as told to the caller."""

MAX_PROVED_CHAINS: Final = 20_000
"""Verified credential chains remembered: one for each member."""

MAX_PROVED_BLOCKS: Final = 4_096
"""Verified blocks above the last of a chain: those of issuers are in use all the time and stay,
those of single nodes save one check when they renew. One costs some 200 bytes."""

MAX_NEWS: Final = 4_096
"""Membership news waiting to be gossiped; the oldest is dropped, a full sync mends it."""

MAX_LOST: Final = 256
"""Dead members tried again although their records have expired."""

MAX_TOMBSTONES: Final = 4_096
"""Members off the list whose last word is remembered, some 300 bytes each."""

MAX_ACCUSERS: Final = 1_024
"""Members whose false accusations are remembered."""

MAX_FORWARDED: Final = 1_024
"""Datagrams passed on for others of which an answer is awaited."""

MAX_LATE_PROBES: Final = 256
"""Unanswered probes remembered for a late answer."""

MAX_PULLS: Final = 1_024
"""Records asked for and not yet received; also asked for in one request."""

MAX_REFUTED: Final = 16
"""Peers that one refutation answers directly; the others hear it by gossip."""

MAX_SIGNED: Final = 8 * 1024
"""One signed statement of an auction, or one ballot."""

MAX_VOTE_CALL: Final = 128 * 1024
"""A signed call for a vote: the question, the options, and a chain for each elector."""

MAX_CERTIFICATE: Final = 1024 * 1024
"""A certificate: the call and up to two ballots of each elector."""

MAX_QUESTION: Final = 4 * 1024
"""What a vote is about, in UTF-8."""

MAX_OPTION: Final = 256
"""One option of a vote, in UTF-8."""

MAX_RATIONALE: Final = 4 * 1024
"""Why an elector chose as it did, in UTF-8."""

MAX_BIDDERS: Final = 256
"""Members asked for a bid in one auction."""

MAX_OPEN_OFFERS: Final = 1_024
"""Offers of others on which this node has bid and which it could still be awarded."""

MAX_OPEN_BALLOTS: Final = 256
"""Calls to vote that this node is examining or thinking about."""

MAX_KEPT_BALLOTS: Final = 65_536
"""Own ballots remembered, so that none is contradicted: 100 votes a second for ten minutes."""

MAX_KEPT_AWARDS: Final = 16_384
"""Tasks whose awards, and awards whose acceptance, are remembered; the oldest goes first."""

MAX_KEPT_RESULTS: Final = 64 * 1024 * 1024
"""Results of awarded work that wait to be fetched, together."""
