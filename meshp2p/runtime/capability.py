"""What users declare: `@capability`, and how a function's arguments are read from a body."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs

from meshp2p.errors import UsageError
from meshp2p.events import CapabilityInfo
from meshp2p.ids import check_name
from meshp2p.messaging.body import SCALARS, MismatchError, from_plain
from meshp2p.runtime.context import AsyncContext, Context

Mode: TypeAlias = Literal["label", "inline", "thread", "async", "trio"]
"""Who runs it. "async": on whichever loop the node's user has; "trio": always on trio."""

F = TypeVar("F", bound=Callable[..., Any])

RESERVED: Final = frozenset(
    {"timeout", "key", "pick", "priority", "retries", "returns"}
    | {"close_after", "score", "sealed", "at_most", "budget"}
)
"""Keywords of `call` and `auction`, for ever; no handler can have a parameter so named."""

_MARK: Final = "__meshp2p_capability__"
_MAX_VERSION: Final = 63
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@attrs.frozen
class Handler:
    """A function and how to call it with what arrived.

    Args:
        context: Name of the parameter that takes the context, or "".
        context_at: Its place among those by position; -1 if there is none.
        annotations: Of parameters whose values must be checked or converted.
    """

    function: Callable[..., Any]
    mode: Mode
    context: str
    positional: tuple[str, ...]
    annotations: Mapping[str, Any]
    returns: Any
    context_at: int = -1
    kinds: tuple[Any, ...] = attrs.field(init=False)
    """Of positional parameters; None where anything goes."""

    def __attrs_post_init__(self) -> None:
        """Look annotations up by position, once."""
        kinds = tuple(self.annotations.get(name) for name in self.positional)
        object.__setattr__(self, "kinds", kinds)  # attrs' way around frozen

    def arguments(
        self, args: list[Any], kwargs: dict[str, Any], context: object
    ) -> tuple[list[Any], dict[str, Any]]:
        """Convert what arrived to what the annotations ask for.

        Raises:
            MismatchError: Something does not fit.
        """
        if self.annotations and not (not kwargs and self._fit_as_they_are(args)):
            wanted = self.annotations
            args = [
                from_plain(value, wanted.get(name, Any), name)
                for name, value in zip(self.positional, args, strict=False)
            ] + args[len(self.positional) :]
            kwargs = {
                name: from_plain(value, wanted.get(name, Any), name)
                for name, value in kwargs.items()
            }
        return self.with_context(args, kwargs, context) if self.context else (args, kwargs)

    def with_context(
        self, args: list[Any], kwargs: dict[str, Any], context: object
    ) -> tuple[list[Any], dict[str, Any]]:
        """Put the context where the function wants it.

        Raises:
            MismatchError: The caller gives one.
        """
        if self.context in kwargs:
            raise MismatchError(f"{self.context} is given by the node, not by the caller")
        at = self.context_at
        if 0 <= at < len(args):
            return [*args[:at], context, *args[at:]], kwargs
        return args, {**kwargs, self.context: context}

    def _fit_as_they_are(self, args: list[Any]) -> bool:
        """Whether all are plain values of the very types asked for: most calls."""
        kinds = self.kinds
        if len(args) > len(kinds):
            return False
        for value, kind in zip(args, kinds, strict=False):
            if kind is not None and not (type(value) is kind and kind in SCALARS):
                return False
        return True


@attrs.frozen
class Declared:
    """A capability as a node announces it, with its handler unless it is a label."""

    info: CapabilityInfo
    handler: Handler | None


def capability(
    name: str,
    *,
    version: str = "",
    tags: Mapping[str, str] | None = None,
    limit: int = 0,
    idempotent: bool = False,
    inline: bool = False,
    loop: Literal["trio"] | None = None,
) -> Callable[[F], F]:
    """Declare that a function answers calls for `name`.

    A plain function runs in a worker thread, an `async def` on the loop that the node
    was entered from.

    Args:
        version: For people and filters; calls do not choose by it.
        tags: Likewise.
        limit: Calls at once on one node; 0 for the node's own limit.
        idempotent: Running it twice does no harm, so a call whose member dies is tried
            again on another.
        inline: Run a plain function on the node's own loop: no thread, 50 us less, but
            all else waits for it. Only for what takes well under a millisecond.
        loop: "trio" runs an `async def` on trio whatever the node was entered from.

    Raises:
        UsageError: A value that is not allowed, or a function that cannot be a handler.
    """
    if callable(name):
        raise UsageError(f"{_shown(name)}: write @capability('name') with a name in it")
    check_name("capability", name)
    texts = _checked(version, limit, {} if tags is None else tags, loop)
    info = CapabilityInfo(name, version, limit, handler=True, idempotent=idempotent, tags=texts)

    def declare(function: F) -> F:
        if inspect.ismethod(function):
            raise UsageError(
                f"{_shown(function)} is bound to an object already: decorate it in its class, and "
                "give the node the object's method"
            )
        handler = read_handler(function, inline=inline, on_trio=loop == "trio")
        setattr(function, _MARK, Declared(info, handler))
        return function

    return declare


def _checked(version: object, limit: object, tags: object, loop: object) -> dict[str, str]:
    """Refuse what no declaration can mean; return the tags.

    Raises:
        UsageError: Names the argument, the value and what is allowed.
    """
    if not isinstance(version, str) or len(version) > _MAX_VERSION:
        raise UsageError(f"version={version!r}: allowed is a text of at most {_MAX_VERSION}")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise UsageError(f"limit={limit!r}: allowed are 0 (no limit) and whole numbers above")
    if not isinstance(tags, Mapping) or not all(
        isinstance(part, str) for pair in tags.items() for part in pair
    ):
        raise UsageError(f"tags={tags!r}: allowed are texts by texts")
    if loop not in (None, "trio"):
        raise UsageError(f"loop={loop!r}: allowed are None and 'trio'")
    return dict(tags)


def declared(what: object) -> Declared:
    """The capability of a decorated function, or a label of a text.

    Raises:
        UsageError: It is neither.
    """
    if isinstance(what, str):
        return Declared(CapabilityInfo(check_name("capability", what), handler=False), None)
    mark = getattr(what, _MARK, None)
    if not isinstance(mark, Declared):
        raise UsageError(
            f"capability={what!r}: allowed are functions decorated with @capability('name'), and "
            f"texts for labels without a handler{_hint(what)}"
        )
    if inspect.ismethod(what):
        return _bound(mark, what)
    if mark.handler is not None and mark.handler.positional[:1] == ("self",):
        raise UsageError(f"{_shown(what)} is a method: give the one of an object of its class")
    return mark


def _hint(what: object) -> str:
    """For those who give the object instead of its methods."""
    names = [name for name, member in vars(type(what)).items() if hasattr(member, _MARK)]
    return f"; of an object give the methods: {', '.join('.' + name for name in names)}" * bool(
        names
    )


def _bound(mark: Declared, method: Callable[..., Any]) -> Declared:
    """What was declared in a class, for one of its objects."""
    mode = "" if mark.handler is None else mark.handler.mode
    handler = read_handler(method, inline=mode == "inline", on_trio=mode == "trio")
    return Declared(mark.info, handler)


def read_handler(
    function: Callable[..., Any], *, inline: bool = False, on_trio: bool = False
) -> Handler:
    """See how a function wants to be called.

    Raises:
        UsageError: It is an async generator, or has a parameter that cannot be sent.
    """
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(
            f"{_shown(function)} is a generator; a handler returns one answer (streams of "
            "answers are not supported yet)"
        )
    is_async = inspect.iscoroutinefunction(function)
    if is_async and inline:
        raise UsageError(f"{_shown(function)} is async; inline=True is for plain functions")
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function)
    except (TypeError, ValueError, NameError) as error:
        raise UsageError(f"{_shown(function)} cannot be a handler: {error}") from error
    context = _context_parameter(function, signature, hints, is_async=is_async)
    clash = RESERVED & signature.parameters.keys()
    if clash:
        raise UsageError(
            f"{_shown(function)} has a parameter {min(clash)!r}, which is a keyword of call(); "
            "choose another name"
        )
    mode: Mode = "thread"
    if is_async:
        mode = "trio" if on_trio else "async"
    elif inline:
        mode = "inline"
    returns = hints.pop("return", Any)
    hints.pop(context, None)
    positional = tuple(
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and parameter.kind is not inspect.Parameter.VAR_POSITIONAL
        and name != context
    )
    for name, parameter in signature.parameters.items():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            hints.pop(name, None)
    plain = {name: hint for name, hint in hints.items() if hint not in (Any, object)}
    at = _place_of(context, signature)
    return Handler(function, mode, context, positional, plain, returns, at)


def read_listener(function: Callable[..., Any]) -> Handler:
    """As `read_handler`, for what is told one thing: a message, an event, an offer, a vote.

    Raises:
        UsageError: It has no room for that, or wants more.
    """
    handler = read_handler(function)
    args: list[Any] = [None]
    kwargs: dict[str, Any] = {}
    if handler.context:
        args, kwargs = handler.with_context(args, kwargs, None)
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        raise UsageError(
            f"{_shown(function)} must take one argument by position, besides a context"
        ) from None
    return handler


def _place_of(context: str, signature: inspect.Signature) -> int:
    by_position = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    return by_position.index(context) if context in by_position else -1


def _context_parameter(
    function: Callable[..., Any],
    signature: inspect.Signature,
    hints: Mapping[str, Any],
    *,
    is_async: bool,
) -> str:
    """The parameter that takes the context, found by its annotation."""
    wanted = AsyncContext if is_async else Context
    other = Context if is_async else AsyncContext
    found = ""
    for name, parameter in signature.parameters.items():
        hint = hints.get(name)
        if hint is other:
            raise UsageError(
                f"{_shown(function)}: {name} must be annotated {wanted.__name__}, since the "
                f"function is {'async' if is_async else 'plain'}"
            )
        if hint is wanted:
            if found or parameter.kind not in _NAMED:
                raise UsageError(f"{_shown(function)}: one named parameter may take the context")
            found = name
    return found


def _shown(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))
