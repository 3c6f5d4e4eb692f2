"""Wiring: where each parameter of each function takes its value from, decided once, when a saga is built.

The first that fits:
  1. the `Context`, by its type;
  2. a parameter that bears the name of an earlier step or wait takes its result; in a compensation,
     the step's own name, or its own result type (unless plain), takes the step's own result;
  3. kept for `each`: its item;
  4. the saga's input, by its type, or for a parameter without annotation;
  5. the result of the one earlier step or wait that gives exactly that type (unless plain);
  6. a resource, by its type.
A parameter that nothing fits keeps its default; without one it is a `DefinitionError`.

*Earlier* means: assigned on some path that leads here; a sibling branch of a `parallel` is not.
What is not assigned on every such path is legal for `X | None` only. The analysis is one walk over
the tree with a scope (`scope.py`) that is wound back after each branch.

Rule of this file: everything about parameters is decided here, and nothing when a saga runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Union

from ..errors import DefinitionError
from .annotations import NONE, Annotation, admits_none, bare, is_plain, same_kind, text
from .calls import Argument, Binding, Call, Source
from .codec import Codec, Codecs
from .context import Context
from .flatten import Draft, Tree
from .functions import Function, Parameter
from .graph import Kind
from .nodes import Choose, Sleep, Wait
from .scope import Assigned, Scope
from .steps import Step

_CANDIDATES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Wired:
    """What the wiring found; all of it by node index."""

    bindings: tuple[Binding, ...]
    read: frozenset[int]  # nodes whose result some function takes
    needs_result: frozenset[int]  # steps whose compensation cannot take None for its own result
    input: Codec


@dataclass(frozen=True, slots=True)
class _Role:
    """Which function of which node is being wired."""

    where: str
    own: int = -1  # the step whose own result may be read: set for compensations
    context: bool = True  # whether a Context can be had


def wire(
    tree: Tree,
    *,
    names: Mapping[str, Any],
    input_type: Annotation | None,
    resources: tuple[type, ...],
) -> Wired:
    """Wire every function of a saga.

    Parameters:
        tree: its nodes.
        names: where annotations may be looked up besides their own module.
        input_type: what `Saga(input=)` said; None to infer it from the first step.
        resources: the types `Saga(resources=)` declared.

    Raises:
        DefinitionError: AM12xx.
    """
    return _Wiring(tree, names, input_type, resources).all()


class _Wiring:
    def __init__(
        self, tree: Tree, names: Mapping[str, Any], input_type: Annotation | None, resources: tuple[type, ...]
    ) -> None:
        self.tree = tree
        self.names = names
        self.codecs = Codecs()
        self.scope = Scope()
        self.read: set[int] = set()
        self.needs_result: set[int] = set()
        self.bindings = [Binding() for _ in tree.drafts]
        self.input_type = self._inferred_input() if input_type is None else input_type
        self.input_bare = bare(self.input_type)
        self._check_resources(resources)
        self.resources = resources

    def all(self) -> Wired:
        """Walk the forward path, then the follow-ups with what is certain at their end."""
        tree = self.tree
        codec = self._codec(self.input_type, f'saga "{tree.saga}", the input')
        self._walk(tree.drafts[tree.root])
        if tree.after_completed >= 0:
            mark = self.scope.mark()
            self._follow_ups(tree.drafts[tree.after_completed])
            self.scope.wind_back(mark)
        if tree.after_compensated >= 0:
            for assigned in self.scope.wind_back(0):
                self.scope.add(replace(assigned, certain=False))
            self._follow_ups(tree.drafts[tree.after_compensated])
        return Wired(tuple(self.bindings), frozenset(self.read), frozenset(self.needs_result), codec)

    # --- the walk ---------------------------------------------------------------------------------

    def _walk(self, draft: Draft) -> None:
        match draft.kind:
            case Kind.STEP:
                self._step(draft)
            case Kind.SEQUENCE:
                for child in draft.children:
                    self._walk(self.tree.drafts[child])
            case Kind.PARALLEL:
                for assigned in self._branches(draft):
                    self.scope.add(assigned)
            case Kind.CHOOSE:
                self._predicates(draft)
                for assigned in self._branches(draft):
                    self.scope.add(replace(assigned, certain=False))
            case Kind.WAIT:
                self._wait(draft)
            case Kind.SLEEP:
                assert isinstance(draft.source, Sleep)
                if draft.source.duration is not None:
                    role = _Role(f'saga "{self.tree.saga}", {draft.path}', context=False)
                    self.bindings[draft.index] = Binding(duration=self._call(draft.source.duration, role))

    def _branches(self, draft: Draft) -> list[Assigned]:
        """Walk each child from the same point; none sees what another assigns."""
        gathered: list[Assigned] = []
        for child in draft.children:
            mark = self.scope.mark()
            self._walk(self.tree.drafts[child])
            gathered += self.scope.wind_back(mark)
        return gathered

    def _follow_ups(self, root: Draft) -> None:
        for child in root.children:
            mark = self.scope.mark()
            self._step(self.tree.drafts[child])
            for assigned in self.scope.wind_back(mark):  # a follow-up may be exhausted, and the next still runs
                self.scope.add(replace(assigned, certain=False))

    def _step(self, draft: Draft) -> None:
        step = draft.source
        assert isinstance(step, Step)
        where = f'saga "{self.tree.saga}", step "{draft.path}"'
        declared = step.action.returns(self.names, where)
        payload = self._codec(declared, f"{where}, its result")
        action = self._call(step.action, _Role(f"{where}, action"))
        probe = self._call(step.prober.function, _Role(f"{where}, probe")) if step.prober else None
        compensation = None
        if step.undo and not draft.follow_up:
            role = _Role(f"{where}, compensation", own=draft.index)
            compensation = self._call(step.undo.function, role, Assigned(draft.index, draft.path, declared, True))
        self.bindings[draft.index] = Binding(action, compensation, probe, payload=payload, rejects=step.options.rejects)
        self.scope.add(Assigned(draft.index, draft.path, declared, certain=not step.options.best_effort))

    def _predicates(self, draft: Draft) -> None:
        assert isinstance(draft.source, Choose)
        calls = []
        for number, alternative in enumerate(draft.source.alternatives, 1):
            name = alternative.predicate.name or "predicate"
            where = f'saga "{self.tree.saga}", {draft.path}, when {number} ({name})'
            calls.append(self._call(alternative.predicate, _Role(where, context=False)))
        self.bindings[draft.index] = Binding(predicates=tuple(calls))

    def _wait(self, draft: Draft) -> None:
        wait = draft.source
        assert isinstance(wait, Wait)
        payload = self._codec(wait.type, f'saga "{self.tree.saga}", wait "{draft.path}"')
        self.bindings[draft.index] = Binding(payload=payload)
        late = self._branches(draft)
        self.scope.add(Assigned(draft.index, draft.path, wait.type, certain=wait.on_timeout is None))
        for assigned in late:
            self.scope.add(replace(assigned, certain=False))

    # --- one function -----------------------------------------------------------------------------

    def _call(self, function: Function, role: _Role, own: Assigned | None = None) -> Call:
        wired: list[Argument] = []
        gap = ""  # the first parameter that keeps its default: after it, arguments go by name
        for parameter in function.parameters(self.names, role.where):
            argument = self._argument(parameter, role, own)
            if argument is None:
                gap = gap or parameter.name
                continue
            by_keyword = bool(gap) or not parameter.positional
            if by_keyword and not parameter.keyword:
                raise DefinitionError(
                    f'{role.where}, parameter "{parameter.name}": it is positional-only and follows "{gap}", to which '
                    f"nothing fits; drop the '/' from the signature",
                    code="AM1201",
                )
            wired.append(replace(argument, by_keyword=by_keyword))
        inputs = [argument.name for argument in wired if argument.source is Source.INPUT]
        if len(inputs) > 1:
            raise DefinitionError(
                f"{role.where}: the parameters {' and '.join(map(repr, inputs))} would both take the input; "
                f"annotate the other ones, or name them after the steps whose results they take",
                code="AM1204",
            )
        return Call(function.call, function.is_async, role.where, tuple(wired))

    def _argument(self, parameter: Parameter, role: _Role, own: Assigned | None) -> Argument | None:
        """The source of one parameter, by the first rule that fits; None when it keeps its default."""
        name, annotation = parameter.name, parameter.annotation
        where = f'{role.where}, parameter "{_shown(parameter)}"'
        wanted = bare(annotation) if parameter.annotated else None
        if wanted is Context:
            return self._context(name, role, where)
        if own is not None and name == own.name:
            return self._result(parameter, own, where, Source.OWN_RESULT)
        found = self.scope.named(name)
        if found is not None:
            return self._result(parameter, found, where)
        not_earlier = name in self.tree.paths
        meant = parameter.annotated and not is_plain(wanted) and not not_earlier
        if own is not None and meant and wanted == bare(own.declared):
            return self._result(parameter, own, where, Source.OWN_RESULT)
        if not parameter.annotated and not not_earlier:
            if name == "ctx":
                raise DefinitionError(f'{where}: annotate it, "ctx: Context"', code="AM1203")
            return Argument(name, Source.INPUT, codec=self._codec(self.input_type, where))
        if parameter.annotated and wanted == self.input_bare:
            return Argument(name, Source.INPUT, codec=self._codec(annotation, where))
        if meant:
            typed = self.scope.typed(wanted)
            if len(typed) == 1:
                return self._result(parameter, typed[0], where)
            if typed:
                raise self._ambiguous(typed, where)
        if parameter.annotated and any(wanted is resource for resource in self.resources):
            return Argument(name, Source.RESOURCE, resource=wanted)
        if parameter.has_default and parameter.annotated:
            return None
        if not_earlier:
            raise self._not_earlier(name, role, where)
        raise self._nothing_fits(wanted, where)

    def _context(self, name: str, role: _Role, where: str) -> Argument:
        if not role.context:
            raise DefinitionError(
                f"{where}: it is called between attempts, where there is no Context; take the input or a result",
                code="AM1210",
            )
        return Argument(name, Source.CONTEXT)

    def _result(self, parameter: Parameter, found: Assigned, where: str, source: Source = Source.RESULT) -> Argument:
        """A parameter that takes the result `found`, by name or by type."""
        takes_none = not parameter.annotated or admits_none(parameter.annotation)
        declared = found.declared
        if parameter.annotated and not same_kind(bare(declared), bare(parameter.annotation)):
            raise DefinitionError(
                f'{where}: "{found.name}" gives {text(declared)}, and results are taken by the name they bear; '
                f"annotate it as {text(declared)}, or rename the parameter",
                code="AM1207",
            )
        if not takes_none and not found.certain:
            raise DefinitionError(
                f'{where}: "{found.name}" may have no result here (it stands behind choose, best_effort or a timeout, '
                f"or the saga turned back); annotate it as {text(bare(declared))} | None",
                code="AM1206",
            )
        self.read.add(found.node)
        if source is Source.OWN_RESULT and not takes_none and bare(declared) is not NONE:
            self.needs_result.add(found.node)
        codec = self._codec(parameter.annotation if parameter.annotated else Union[declared, None], where)
        return Argument(parameter.name, source, codec=codec, node=found.node, takes_none=takes_none)

    # --- what is wrong ----------------------------------------------------------------------------

    def _ambiguous(self, typed: list[Assigned], where: str) -> DefinitionError:
        names = ", ".join(f'"{each.name}"' for each in typed)
        return DefinitionError(
            f"{where}: {len(typed)} earlier results have that type: {names}; name the parameter after one of them",
            code="AM1202",
        )

    def _not_earlier(self, name: str, role: _Role, where: str) -> DefinitionError:
        index = self.tree.paths[name]
        if role.own >= 0:
            why = "a compensation sees the input, its own result, and what was assigned before its action"
        elif role.where.startswith(f'saga "{self.tree.saga}", step "{name}"'):
            why = "only the step's compensation can read the step's own result"
        else:
            why = "it comes later, or stands in another branch"
        return DefinitionError(
            f'{where}: "{self.tree.drafts[index].path}" is not earlier: {why}; reorder, or rename the parameter',
            code="AM1205",
        )

    def _nothing_fits(self, wanted: Annotation, where: str) -> DefinitionError:
        shown = [f'"{each.name}": {text(each.declared)}' for each in self.scope]
        candidates = ", ".join([*shown[-_CANDIDATES_SHOWN:], *(f"resource {each.__name__}" for each in self.resources)])
        same = [f'"{each.name}"' for each in self.scope.typed(wanted)] if is_plain(wanted) else []
        if same:
            mend = f"{text(wanted)} is matched by name only: name the parameter after {' or '.join(same)}"
        else:
            mend = "name the parameter after an earlier step, annotate it with one of these types, or give it a default"
        return DefinitionError(
            f"{where}: nothing fits. Input: {text(self.input_type)}; there are: {candidates or 'no earlier results'}. "
            f"To mend it, {mend}",
            code="AM1201",
        )

    # --- types ------------------------------------------------------------------------------------

    def _inferred_input(self) -> Annotation:
        """The annotation of the first step's first parameter that is not the Context."""
        for draft in self.tree.drafts:
            if isinstance(draft.source, Step) and not draft.follow_up:
                where = f'saga "{self.tree.saga}", step "{draft.path}", action'
                for parameter in draft.source.action.parameters(self.names, where):
                    if bare(parameter.annotation) is not Context:
                        return parameter.annotation if parameter.annotated else Any
                break
        return Any

    def _codec(self, declared: Annotation, where: str) -> Codec:
        try:
            return self.codecs.of(declared)
        except TypeError as error:
            raise DefinitionError(f"{where}: {text(declared)}: {error}", code="AM1209") from error

    def _check_resources(self, resources: tuple[type, ...]) -> None:
        where = f'saga "{self.tree.saga}": resources='
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
            if resource is self.input_bare:
                raise DefinitionError(
                    f"{where} holds {resource.__name__}, which is also the input's type; say the input's with input=",
                    code="AM1211",
                )


def _shown(parameter: Parameter) -> str:
    return f"{parameter.name}: {text(parameter.annotation)}" if parameter.annotated else parameter.name
