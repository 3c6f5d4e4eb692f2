"""Rule 9, as far as it can be checked before anything runs: where the pivot may stand, and what after it.

One walk in the order of the graph carries the set of answers to "was a pivot passed?" that the
paths leading here give: {no}, {yes}, or both, after a `choose` of which only some branches hold one.
A pivot needs {no}; what stands where *yes* is possible must not turn back; a retriable step needs
*yes* to be possible.
"""

from __future__ import annotations

from ..errors import DefinitionError
from .flatten import Draft, Tree
from .graph import Kind
from .nodes import Wait
from .steps import Step

Passed = frozenset[bool]
_BEFORE: Passed = frozenset({False})


def check_pivots(tree: Tree) -> None:
    """Check the pivot rules of a saga.

    Raises:
        DefinitionError: AM1301 to AM1305.
    """
    passed = _walk(tree, tree.drafts[tree.root], _BEFORE)
    for root, state in ((tree.after_completed, passed), (tree.after_compensated, _BEFORE)):
        for child in tree.drafts[root].children if root >= 0 else ():
            draft = tree.drafts[child]
            assert isinstance(draft.source, Step)
            if draft.source.options.retriable and True not in state:
                raise _no_pivot(tree, draft)


def _walk(tree: Tree, draft: Draft, passed: Passed) -> Passed:
    children = [tree.drafts[index] for index in draft.children]
    match draft.kind:
        case Kind.STEP:
            return _step(tree, draft, passed)
        case Kind.SEQUENCE:
            for child in children:
                passed = _walk(tree, child, passed)
            return passed
        case Kind.WAIT:
            if True in passed and isinstance(draft.source, Wait) and draft.source.on_timeout is None:
                raise DefinitionError(
                    f'saga "{tree.saga}", wait "{draft.path}": it stands after the pivot, where nothing turns back; '
                    f"give it timeout= and on_timeout=nodes",
                    code="AM1305",
                )
            return passed.union(*(_walk(tree, child, passed) for child in children))
        case Kind.PARALLEL | Kind.EACH:
            for child in children:  # none holds a pivot, so all begin and end alike
                _walk(tree, child, passed)
            return passed
        case Kind.CALL:
            return _walk(tree, children[0], passed)
        case Kind.CHOOSE | Kind.FIRST_OF:
            return frozenset[bool]().union(*(_walk(tree, child, passed) for child in children))
        case Kind.SLEEP:
            return passed


def _step(tree: Tree, draft: Draft, passed: Passed) -> Passed:
    assert isinstance(draft.source, Step)
    options = draft.source.options
    where = f'saga "{tree.saga}", step "{draft.path}"'
    if options.pivot:
        if not _may_hold_a_pivot(tree, draft):
            raise DefinitionError(
                f"{where}: a pivot stands at the top level or in a branch of a top-level choose; move it there",
                code="AM1302",
            )
        if True in passed:
            raise DefinitionError(
                f"{where}: a second pivot on one path; one is the point of no return: make what follows retriable=True",
                code="AM1301",
            )
        return frozenset({True})
    if True in passed and not (options.retriable or options.read_only or options.best_effort):
        raise DefinitionError(
            f"{where}: it stands after the pivot, where nothing turns back; make it retriable=True, read_only=True or "
            f"best_effort=True, or put it before the pivot",
            code="AM1303",
        )
    if options.retriable and True not in passed:
        raise _no_pivot(tree, draft)
    return passed


def _may_hold_a_pivot(tree: Tree, draft: Draft) -> bool:
    """Whether only sequences and calls stand around it, and at most one choose."""
    choices = 0
    while draft.parent >= 0:
        draft = tree.drafts[draft.parent]
        choices += draft.kind is Kind.CHOOSE
        if draft.kind not in (Kind.SEQUENCE, Kind.CALL, Kind.CHOOSE) or choices > 1:
            return False
    return True


def _no_pivot(tree: Tree, draft: Draft) -> DefinitionError:
    return DefinitionError(
        f'saga "{tree.saga}", step "{draft.path}": retriable=True, but no path to it passes a pivot; '
        f"make an earlier step pivot=True, or drop retriable=True",
        code="AM1304",
    )
