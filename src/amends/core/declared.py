"""The types that a saga's author declares or implies: of the input, of an each's items, of resources.

Rule of this file: what is declared wins, what is annotated is believed, and what nobody says is plain JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, get_args

from ..errors import DefinitionError
from .annotations import NONE, UNIONS, Annotation, bare, origin_of, same_kind, text
from .atomic import is_connection
from .context import Context
from .flatten import Tree
from .functions import Function
from .nodes import Called, Each
from .redaction import WHOLE, Redacted, paths_in
from .refusals import Refusals
from .steps import Step

_SEQUENCES = (list, tuple, set, frozenset, Sequence, Iterable, Collection)


def inferred_input(tree: Tree, names: Mapping[str, Any]) -> Annotation:
    """The annotation of the first step's first parameter that is not the Context.

    A call, or the items of an each, that comes first speaks in the step's place.

    Raises:
        DefinitionError: AM1208.
    """
    for draft in tree.drafts:
        if draft.follow_up:
            break
        match draft.source:
            case Step() as step:
                function, what = step.action, f'step "{draft.path}", action'
            case Each() as each:
                function, what = each.items, f"{draft.path}, its items"
            case Called(input=Function() as given):
                function, what = given, f'call "{draft.path}", its input'
            case Called() as called:
                return called.saga.input_type
            case _:
                continue
        where = f'saga "{tree.saga}", {what}'
        for parameter in function.parameters(names, where):
            kind = bare(parameter.annotation)
            if kind not in (Context, Refusals) and not is_connection(kind):
                return parameter.annotation if parameter.annotated else Any
        break
    return Any


def item_type(each: Each, names: Mapping[str, Any], where: str) -> Annotation:
    """What `item=` says, else what the items' function is annotated to return a list of.

    Raises:
        DefinitionError: AM1208; AM1214, the two contradict each other.
    """
    returned = each.items.returns(names, f"{where}, its items")
    declared = _outermost(returned)
    origin: Any = origin_of(declared)
    arguments = get_args(declared)
    fixed = origin is tuple and arguments[1:] != (Ellipsis,)  # one of a fixed form is no list of one type
    found = arguments[0] if arguments and origin in _SEQUENCES and not fixed else Any
    if paths_in(returned) == WHOLE:  # a mark of the list is one of each item, and items are what is stored
        found = Annotated[found, Redacted]
    if each.item is None:
        return found
    if not same_kind(bare(found), bare(each.item)):
        raise DefinitionError(
            f"{where}: item={text(each.item)}, but its items are {text(found)}, as their function says; drop item=",
            code="AM1214",
        )
    return each.item if paths_in(each.item) or not paths_in(found) else found


def _outermost(annotation: Annotation) -> Annotation:
    """`annotation` without `Annotated` and None around it; what stands inside keeps its marks."""
    origin = origin_of(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        return _outermost(arguments[0])
    kept = [argument for argument in arguments if argument is not NONE] if origin in UNIONS else []
    return _outermost(kept[0]) if len(kept) == 1 else annotation


def check_resources(resources: tuple[type, ...], input_bare: Annotation, where: str) -> None:
    """Refuse resources that could not be told apart.

    Raises:
        DefinitionError: AM1211; `where` begins its message.
    """
    for position, resource in enumerate(resources):
        if not isinstance(resource, type):
            raise DefinitionError(
                f"{where} holds {resource!r}; declare classes, and give the objects to the Orchestrator",
                code="AM1211",
            )
        if getattr(resource, "_is_protocol", False) and not getattr(resource, "_is_runtime_protocol", False):
            raise DefinitionError(
                f"{where} holds {resource.__name__}, a Protocol by which no object can be told; declare a class, "
                f"or put @runtime_checkable above the Protocol",
                code="AM1211",
            )
        if resource in resources[:position]:
            raise DefinitionError(
                f"{where} holds {resource.__name__} twice; resources are told apart by type", code="AM1211"
            )
        if resource is input_bare:
            raise DefinitionError(
                f"{where} holds {resource.__name__}, which is also the input's type; say the input's with input=",
                code="AM1211",
            )
