"""What both fronts share: a user's arguments to engine commands, and ends to results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import attrs

from meshp2p.consensus import AwardData, AwardResult, Policy, VoteResult
from meshp2p.consensus.scoring import Score
from meshp2p.engine import Engine
from meshp2p.engine.coordination import AuctionRules, VoteRules
from meshp2p.errors import ResultError, UnknownMember, UsageError, WireError
from meshp2p.events import CallFinished, Member, State, Why
from meshp2p.gossip.wanted import StateFilter, Wanted
from meshp2p.ids import Seconds, check_name, check_pattern, show_id
from meshp2p.messaging.body import MismatchError, from_plain, pack_arguments, pack_plain
from meshp2p.messaging.requests import Cause
from meshp2p.messaging.resolver import parse_target
from meshp2p.node.pending import PendingResult
from meshp2p.runtime.capability import RESERVED, declared
from meshp2p.runtime.context import CAUSE
from meshp2p.wire import codec
from meshp2p.wire.messages import ON_MESSAGE

_STATES: Final = (*get_args(State), "all")
_LATER: Final = frozenset(RESERVED - {"timeout", "key", "returns"})
"""Keywords that are kept free for later versions."""
_PPM: Final = 1_000_000
_MAX_KEY: Final = 256
_MAX_TIMEOUT: Final = 1e9
"""Seconds; thirty years. Infinity has no place in a message."""

Command = Callable[[Engine, Seconds], int]


@attrs.define  # not frozen: made for every call, and freezing doubles the cost
class CallPlan:
    """A checked call: what to tell the engine, and what to make of the answer."""

    command: Command
    returns: Any

    def result(self, finished: CallFinished) -> Any:  # noqa: ANN401  # of the type asked for
        """The answer's value, or what is raised instead.

        Raises:
            MeshError: The call failed.
            ResultError: The answer is of another type.
        """
        if finished.error is not None:
            raise finished.error
        return read_result(finished.value, self.returns)


def read_result(body: object, returns: Any) -> Any:  # noqa: ANN401  # of the type asked for
    """Decode an answer.

    Raises:
        ResultError: It is not of the type asked for.
    """
    if not isinstance(body, bytes) or not body:
        return None
    try:
        value = codec.unpack_untrusted(body)
        return value if returns is Any else from_plain(value, returns, "the answer")
    except (MismatchError, WireError) as error:
        raise ResultError(str(error)) from error


def check_timeout(timeout: object, what: str = "timeout") -> Seconds | None:
    """A number of seconds above 0, or None for the default.

    Raises:
        UsageError: It is something else.
    """
    if timeout is None:
        return None
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout <= _MAX_TIMEOUT:  # type: ignore[operator]  # a number
        raise UsageError(
            f"{what}={timeout!r}: allowed are seconds above 0 (at most {_MAX_TIMEOUT:g}), and "
            "None for the default"
        )
    return float(timeout)  # type: ignore[arg-type]  # a number


def plan_call(
    target: object, args: Sequence[object], kwargs: dict[str, Any], *, one_way: bool = False
) -> CallPlan:
    """Read `call(target, *args, timeout=, key=, returns=, **kwargs)`.

    Raises:
        UsageError: It cannot be meant.
    """
    timeout, key, returns = None, "", Any
    if kwargs:
        timeout, key, returns = _options(kwargs)
    if callable(target):
        entry = declared(target)
        target = entry.info.name
        if returns is Any and entry.handler is not None:
            returns = entry.handler.returns
    parsed = parse_target(target)
    if one_way and parsed.method != ON_MESSAGE:
        raise UsageError(f"target={target!r}: send() takes '@handle' or '#id'; use call()")
    if parsed.method == ON_MESSAGE:
        if len(args) != 1 or kwargs:
            raise UsageError(f"target={target!r} is an agent: give one value, its message")
        body = pack_plain(args[0], "the message")
    else:
        if key:  # in one order: the callee compares a key's requests byte for byte
            kwargs = dict(sorted(kwargs.items()))
        body = pack_arguments(args, kwargs)
    cause: Cause | None = CAUSE.get()

    def command(engine: Engine, now: Seconds) -> int:
        return engine.call(
            parsed,
            body,
            timeout=timeout,
            key=key,
            cause=cause,
            one_way=one_way,
            now=now,
        )

    return CallPlan(command, returns)


def _options(kwargs: dict[str, Any]) -> tuple[Seconds | None, str, Any]:
    """Take timeout=, key= and returns= out of a call's keywords.

    Raises:
        UsageError: They cannot be meant, or a keyword is kept for later.
    """
    timeout = check_timeout(kwargs.pop("timeout", None))
    key = kwargs.pop("key", "")
    if not isinstance(key, str) or len(key) > _MAX_KEY:
        raise UsageError(f"key={key!r}: allowed is a text of at most {_MAX_KEY} characters")
    returns = kwargs.pop("returns", Any)
    for name in _LATER & kwargs.keys():
        raise UsageError(f"{name}={kwargs[name]!r}: this keyword is kept for a later version")
    return timeout, key, returns


def auction(
    capability: object,
    /,
    *args: object,
    close_after: Seconds = 0.5,
    timeout: Seconds = 30.0,
    score: object = None,
    sealed: bool = False,
    at_most: int = 8,
    budget: int = 0,
    **kwargs: object,
) -> Command:
    """Read what `Node.auction` was given, which says what it means.

    Raises:
        UsageError: It cannot be meant.
    """
    if callable(capability) and not isinstance(capability, str):
        capability = declared(capability).info.name
    name = check_name("capability", capability)
    if sealed:
        raise UsageError("sealed=True: sealed bids come in a later version")
    if score is not None and not callable(score) and not isinstance(score, Policy):
        raise UsageError(f"score={score!r}: allowed are None, a Policy, and a function of a bid")
    for word in RESERVED & kwargs.keys():
        raise UsageError(f"{word}={kwargs[word]!r}: auctions do not take this keyword")
    close_after = check_timeout(close_after, "close_after") or 0.5
    timeout = check_timeout(timeout) or 30.0
    _check_count("at_most", at_most, 1)
    _check_count("budget", budget, 0)
    body = pack_arguments(args, kwargs)
    rules = AuctionRules(
        close_after=close_after,
        deadline=timeout,
        at_most=at_most,
        policy=score if isinstance(score, Policy) else None,
        score=cast("Score", score) if callable(score) else None,
        budget=budget,
    )

    def command(engine: Engine, now: Seconds) -> int:
        return engine.coordination.hold(name, body, rules, now=now)

    return command


def vote(
    question: str,
    options: Sequence[str],
    *,
    among: str = "*",
    quorum: float = 0.0,
    threshold: float | None = None,
    faulty: int | None = None,
    method: str = "plurality",
    timeout: Seconds = 10.0,
) -> Command:
    """Read what `Node.vote` was given, which says what it means.

    Raises:
        UsageError: It cannot be meant.
    """
    asked, texts = _check_question(question), _check_options(options)
    if faulty is not None:
        _check_count("faulty", faulty, 0)
    if method != "plurality":
        raise UsageError(f"method={method!r}: allowed is 'plurality'")
    rules = VoteRules(
        closes_in=check_timeout(timeout) or 10.0,
        among=check_pattern("among", among),
        quorum_ppm=_share("quorum", quorum),
        threshold_ppm=None if threshold is None else _share("threshold", threshold),
        faulty=faulty,
        method=method,
    )

    def command(engine: Engine, now: Seconds) -> int:
        return engine.coordination.call_vote(asked, texts, rules, now=now)

    return command


def _check_question(question: object) -> str:
    if not isinstance(question, str) or not question:
        raise UsageError(f"question={question!r}: allowed is a text")
    return question


def _check_options(options: object) -> list[str]:
    if isinstance(options, str) or not isinstance(options, Sequence):
        raise UsageError(f"options={options!r}: allowed is a list of texts")
    texts = [option for option in options if isinstance(option, str) and option]
    if len(texts) != len(options) or len(set(texts)) != len(texts) or len(texts) < 2:  # noqa: PLR2004  # a choice
        raise UsageError(f"options={options!r}: allowed are two or more different texts")
    return texts


def _check_count(what: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 1 << 53:
        raise UsageError(f"{what}={value!r}: allowed are whole numbers from {least}")


def _share(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{what}={value!r}: allowed are shares from 0 to 1")
    return round(value * _PPM)


def wanted(
    pattern: object = "*",
    *,
    handle: str | None = None,
    namespace: str | None = None,
    role: str | None = None,
    tags: Mapping[str, str] | None = None,
    state: object = "alive",
) -> Wanted:
    """Read the filters of `Node.members`, which says what they mean.

    Raises:
        UsageError: A filter that cannot be meant.
    """
    fitting = check_pattern("pattern", pattern)
    if state not in _STATES:
        raise UsageError(f"state={state!r}: allowed are {', '.join(_STATES)}")
    for what, value in (("handle", handle), ("namespace", namespace), ("role", role)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{what}={value!r}: allowed is a text")
    if tags is not None and not isinstance(tags, Mapping):
        raise UsageError(f"tags={tags!r}: allowed are texts by texts")
    return Wanted(
        pattern=fitting,
        state=cast("StateFilter", state),
        handle=handle,
        namespace=namespace,
        role=role,
        tags=dict(tags or {}),
    )


def wait_for(capability: object, count: int = 1, *, timeout: Seconds | None = None) -> Command:
    """Read what `Node.wait_for` was given, which says what it means.

    Raises:
        UsageError: It cannot be meant.
    """
    if callable(capability) and not isinstance(capability, str):
        capability = declared(capability).info.name
    pattern = check_pattern("capability", capability)
    _check_count("count", count, 1)
    patience = check_timeout(timeout)

    def command(engine: Engine, now: Seconds) -> int:
        seconds = engine.config.default_timeout if patience is None else patience
        return engine.wait_for(pattern, count, timeout=seconds, now=now)

    return command


def read_members(finished: CallFinished) -> list[Member]:
    """Who has come, or what is raised instead.

    Raises:
        TooFewMembers: Not enough came in time.
        Closed: The node stopped.
    """
    if finished.error is not None:
        raise finished.error
    return cast("list[Member]", finished.value)


def why(engine: Engine, member: object, *, now: Seconds) -> Why:
    """Read what `Node.why` was given, which says what it means, and answer it.

    Raises:
        UsageError: It is no member's name, or that of several.
        UnknownMember: No member is called so.
    """
    if isinstance(member, Member):
        ids = [member.id]
    elif isinstance(member, str) and member.strip("@#"):
        ids = [each.id for each in engine.named(member)]
    else:
        raise UsageError(f"member={member!r}: allowed are a Member, '@handle' and '#id'")
    if len(ids) > 1:
        which = ", ".join(f"'#{show_id(node_id)}'" for node_id in ids)
        raise UsageError(f"member={member!r}: several are called so; choose one of {which}")
    found = engine.explaining.why(ids[0], now=now) if ids else None
    if found is None:
        who = member if isinstance(member, str) else f"#{show_id(ids[0])}"
        raise UnknownMember(who, engine.stats()["members"])
    return found


def read_vote(finished: CallFinished) -> VoteResult:
    """What was decided, or what is raised instead.

    Raises:
        MeshError: Nothing was.
    """
    if finished.error is not None:
        raise finished.error
    if not isinstance(finished.value, VoteResult):
        raise UsageError("not a vote")
    return finished.value


@attrs.frozen
class AwardOutcome:
    """What an accepted award leaves in the node's hands."""

    data: AwardData
    pending: PendingResult


def read_award(finished: CallFinished) -> AwardOutcome:
    """The award of an auction, or what is raised instead.

    Raises:
        MeshError: Nobody bid, or nobody accepted.
    """
    if finished.error is not None:
        raise finished.error
    match finished.value:
        case (AwardData() as data, PendingResult() as pending):
            return AwardOutcome(data, pending)
        case _:
            raise UsageError("not an award")


def read_award_result(finished: CallFinished) -> Any:  # noqa: ANN401  # the handler's answer
    """The result of awarded work, or what is raised instead.

    Raises:
        MeshError: The work failed everywhere.
    """
    if finished.error is not None:
        raise finished.error
    if isinstance(finished.value, AwardResult):
        return read_result(finished.value.body, Any)
    return None
