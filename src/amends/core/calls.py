"""What the runtime calls for a node, and how the arguments of a call are made from stored payloads.

Rules of this file: everything was decided by the wiring; a `Call` only decodes, anew for every
call, so that no two functions ever share an object, and a first run and a recovery see the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NoReturn

from msgspec import Raw

from ..errors import PayloadError
from .codec import Codec, undecodable
from .context import Context
from .seen import Seen

_NO_RESOURCES: Mapping[type, Any] = MappingProxyType({})


class Source(IntEnum):
    """Where an argument comes from."""

    CONTEXT = 0
    INPUT = 1
    RESULT = 2
    OWN_RESULT = 3
    RESOURCE = 4
    ITEM = 5
    REFUSALS = 6


# Plain names, for looking a member up on its class costs as much as decoding a small payload.
_CONTEXT, _INPUT, _RESULT, _OWN_RESULT, _RESOURCE, _ITEM, _REFUSALS = Source


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter's source.

    `node` is the index for RESULT and OWN_RESULT, that of the EACH for ITEM, that of the CALL for INPUT
    (-1: the saga's); `codec` decodes these; `resource` is the type for RESOURCE.
    """

    name: str
    source: Source
    by_keyword: bool = False
    codec: Codec | None = None
    node: int = -1
    takes_none: bool = True
    resource: type | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the author's and where its arguments come from.

    Attributes:
        function: the plain callable.
        is_async: whether it returns a coroutine; the runtime runs others in a thread.
        where: 'saga "x", step "y", action', for messages.
        wired: one entry for each parameter that is given.
        connection: for an atomic function, the type of the connection that it takes as a resource.
    """

    function: Callable[..., Any]
    is_async: bool
    where: str
    wired: tuple[Argument, ...]
    connection: type | None = None

    def arguments(
        self,
        seen: Seen,
        own: bytes | Raw | None = None,
        context: Context | None = None,
        resources: Mapping[type, Any] = _NO_RESOURCES,
    ) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments of one call, decoded anew.

        Parameters:
            seen: the stored inputs, results and items, from where the function's node stands.
            own: the stored result of the step itself, for its compensation; None when unknown.
            context: the context; None for predicates and durations.
            resources: what the orchestrator was given, by type.

        Raises:
            PayloadError: AM2108, a payload no longer decodes; AM2109, a result is missing.
        """
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        argument = None
        try:
            for argument in self.wired:
                source = argument.source
                value: Any
                if source is _CONTEXT:
                    value = context
                elif source is _RESOURCE:
                    value = resources[argument.resource]  # type: ignore[index]
                elif source is _REFUSALS:
                    value = seen.refusals()
                else:
                    raw: bytes | Raw | None
                    if source is _INPUT:
                        raw = seen.input(argument.node)
                    elif source is _RESULT:
                        raw = seen.result(argument.node)
                    else:
                        raw = own if source is _OWN_RESULT else seen.item(argument.node)
                    if raw is not None:
                        value = argument.codec.decode_raw(raw)  # type: ignore[union-attr]
                    elif argument.takes_none:
                        value = None
                    else:
                        self._refuse_missing(argument)
                if argument.by_keyword:
                    kwargs[argument.name] = value
                else:
                    args.append(value)
        except PayloadError:
            raise
        except Exception as error:
            if argument is None or argument.codec is None:
                raise
            # Also what an author's own `__post_init__` raised.
            codec, what = argument.codec, f'{self.where}, parameter "{argument.name}"'
            raise undecodable(what, codec, error) from codec.cause_of(error)
        return args, kwargs

    def _refuse_missing(self, argument: Argument) -> NoReturn:
        raise PayloadError(
            f'{self.where}, parameter "{argument.name}": the result it takes is missing; '
            f"resolve the step with a result, or annotate the parameter `... | None`",
            code="AM2109",
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """What the runtime calls, and how it stores, for one node; what the node does not have is None."""

    action: Call | None = None
    compensation: Call | None = None
    probe: Call | None = None
    predicates: tuple[Call, ...] = ()  # of a CHOOSE, one for each `when`
    duration: Call | None = None  # of a SLEEP whose length is computed
    items: Call | None = None  # of an EACH
    mapper: Call | None = None  # of a CALL whose input is computed
    given: Codec | None = None  # of an EACH's item, or a CALL's input
    around: int = -1  # of a CALL, the CALL whose input it takes when it has no mapper
    payload: Codec | None = None  # of a step's result, a wait's signal, an EACH's list
    rejects: tuple[type[Exception], ...] = ()
