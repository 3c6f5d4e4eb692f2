"""Wiring: where each parameter of each function takes its value from, decided once, when a saga is built.

The first that fits:
  1. the `Context`, by its type;
  2. a parameter that bears the name of an earlier step or wait takes its result; in a compensation,
     the step's own name, or its own result type (unless plain), takes the step's own result;
  3. in an `each`, its item: named `item`, or by its type (unless plain); `Refusals` are taken by type;
  4. the saga's input (in a `call`, the call's), by its type, or for a parameter without annotation;
  5. the result of the one earlier step, wait, call or first_of that gives exactly that type (unless plain);
  6. a resource, by its type.
An atomic function's `sqlite3.Connection` comes before all but the `Context`: it is the store's.
A parameter that nothing fits keeps its default; without one it is a `DefinitionError`.

*Earlier* means: assigned on some path that leads here; a sibling branch of a `parallel` is not, nor what
stands inside an `each`, `call` or `first_of` that is over: of these one value is seen, their own.
What is not assigned on every such path is legal for `X | None` only. The analysis is one walk over
the tree with a scope (`scope.py`) that is wound back after each branch.

Rule of this file: everything about parameters is decided here, and nothing when a saga runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Union

from ..errors import DefinitionError
from .accepted import without_accepted
from .annotations import NONE, Annotation, admits_none, bare, is_plain, same_kind, text
from .atomic import check_action, connection_of, is_connection, store_connection
from .calls import Argument, Binding, Call, Source
from .codec import Codec, Codecs
from .context import Context
from .declared import check_resources, inferred_input, item_type
from .flatten import Draft, Tree
from .functions import Function, Parameter
from .graph import Kind
from .nodes import Called, Choose, Each, Sleep, Wait
from .refusals import Refusals
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
    resources: tuple[type, ...]  # those of called sagas included


@dataclass(frozen=True, slots=True)
class _Value:
    """What a node gives: its type (`NONE` for nothing), and whether it is assigned on every path through it."""

    declared: Annotation
    certain: bool = True


@dataclass(frozen=True, slots=True)
class _Role:
    """Which function of which node is being wired."""

    where: str
    own: int = -1  # the step whose own result may be read: set for compensations
    context: bool = True  # whether a Context can be had
    atomic: bool = False  # whether the store's connection can be had


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
        self.values: dict[int, _Value] = {}  # of the nodes that give one, by index
        self.signals: dict[str, tuple[str, Annotation]] = {}  # the first wait for each, with its type
        self.call = -1  # the CALL whose nodes are being wired
        self.items: list[tuple[int, Annotation]] = []  # the EACHs around, and their items' types
        self.input_type = inferred_input(self.tree, names) if input_type is None else input_type
        self.input_bare = bare(self.input_type)
        check_resources(resources, self.input_bare, f'saga "{tree.saga}": resources=')
        self.resources = resources
        self.all_resources = list(resources)

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
        return Wired(
            tuple(self.bindings), frozenset(self.read), frozenset(self.needs_result), codec, tuple(self.all_resources)
        )

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
            case Kind.EACH:
                self._each(draft)
            case Kind.CALL:
                self._called(draft)
            case Kind.FIRST_OF:
                self._first_of(draft)

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
        declared = without_accepted(step.action.returns(self.names, where))
        payload = self._codec(declared, f"{where}, its result")
        atomic = step.options.atomic
        action = self._call(step.action, _Role(f"{where}, action", atomic=atomic))
        check_action(action, where, atomic=atomic)
        probe = self._call(step.prober.function, _Role(f"{where}, probe")) if step.prober else None
        compensation = None
        if step.undo and not draft.follow_up:
            role = _Role(f"{where}, compensation", own=draft.index, atomic=atomic)
            compensation = self._call(step.undo.function, role, Assigned(draft.index, draft.name, declared, True))
        self.bindings[draft.index] = Binding(action, compensation, probe, payload=payload, rejects=step.options.rejects)
        self._assign(draft, _Value(declared, certain=not step.options.best_effort))

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
        where = f'saga "{self.tree.saga}", wait "{draft.path}"'
        payload = self._codec(wait.type, where)
        path, declared = self.signals.setdefault(wait.name, (draft.path, wait.type))
        if bare(declared) != bare(wait.type):
            raise DefinitionError(
                f'{where}: its signal gives {text(wait.type)}, and "{path}" waits for {text(declared)} under the same '
                f"name; a signal sent by its name could reach either, so rename one",
                code="AM1215",
            )
        self.bindings[draft.index] = Binding(payload=payload)
        late = self._branches(draft)
        self._assign(draft, _Value(wait.type, certain=wait.on_timeout is None))
        for assigned in late:
            self.scope.add(replace(assigned, certain=False))

    def _assign(self, draft: Draft, value: _Value, name: str = "") -> None:
        """From here on the node's value can be seen, by its name or the one given, and by its type."""
        self.values[draft.index] = value
        self.scope.add(Assigned(draft.index, name or draft.name or draft.path, value.declared, value.certain))

    # --- containers with a value of their own -------------------------------------------------------

    def _each(self, draft: Draft) -> None:
        each, index = draft.source, draft.index
        assert isinstance(each, Each)
        where = f'saga "{self.tree.saga}", {draft.path}'
        function = self._call(each.items, _Role(f"{where}, its items", context=False))
        item = item_type(each, self.names, where)
        self.items.append((index, item))
        body = self.tree.drafts[draft.children[0]]
        mark = self.scope.mark()
        self._walk(body)
        value = self._value(body)
        name = self._name_of(body)
        self.scope.wind_back(mark)
        self.items.pop()
        listed: Annotation = list[value.declared if value.certain else Union[value.declared, None]]  # type: ignore[misc]
        given = self._codec(item, f"{where}, an item")
        self.bindings[index] = Binding(
            items=function, given=given, payload=self._codec(listed, f"{where}, its results")
        )
        self.values[index] = _Value(listed)
        if name:
            self.scope.add(Assigned(index, name, listed, certain=True))

    def _name_of(self, draft: Draft) -> str:
        """The name of the node that gives a body's value; "" when it has none. An each goes by its last node's."""
        while draft.kind in (Kind.SEQUENCE, Kind.EACH):
            draft = self.tree.drafts[draft.children[-1]]
        return draft.name

    def _called(self, draft: Draft) -> None:
        called, index = draft.source, draft.index
        assert isinstance(called, Called)
        saga = called.saga
        where = f'saga "{self.tree.saga}", call "{draft.path}"'
        mapper = None
        if called.input is not None:
            mapper = self._call(called.input, _Role(f"{where}, its input", context=False))
            returned = called.input.returns(self.names, f"{where}, its input")
            if not same_kind(bare(saga.input_type), bare(returned)):
                raise self._other_input(
                    where, saga.input_type, f"input= returns {text(returned)}", "let it return that"
                )
        elif not same_kind(bare(saga.input_type), self.input_bare):
            has = f"{text(self.input_type)} is the input around it"
            raise self._other_input(where, saga.input_type, has, "give input=, a function that makes it")
        self.bindings[index] = Binding(
            mapper=mapper, given=self._codec(saga.input_type, f"{where}, its input"), around=self.call
        )
        self.all_resources += [each for each in saga.resources if each not in self.all_resources]
        around = self.scope, self.names, self.call, self.items, self.input_type, self.input_bare, self.resources
        self.scope, self.names, self.call, self.items = Scope(), saga.written.names, index, []
        self.input_type, self.input_bare, self.resources = saga.input_type, bare(saga.input_type), saga.resources
        self._walk(self.tree.drafts[draft.children[0]])
        giver = self.tree.results.get(index, -1)
        value = self._value(self.tree.drafts[giver]) if giver >= 0 else _Value(NONE)
        self.scope, self.names, self.call, self.items, self.input_type, self.input_bare, self.resources = around
        if giver >= 0 and not self._always_reached(giver, index):
            value = replace(value, certain=False)
        self._assign(draft, value)

    def _always_reached(self, node: int, call: int) -> bool:
        """Whether every way through the CALL passes the node."""
        at = self.tree.drafts[node].parent
        while at != call:
            if self.tree.drafts[at].kind in (Kind.CHOOSE, Kind.WAIT, Kind.FIRST_OF):
                return False
            at = self.tree.drafts[at].parent
        return True

    def _first_of(self, draft: Draft) -> None:
        values = []
        for child in draft.children:
            mark = self.scope.mark()
            self._walk(self.tree.drafts[child])
            values.append(self._value(self.tree.drafts[child]))
            self.scope.wind_back(mark)
        kinds = [bare(value.declared) for value in values]
        if any(kind != kinds[0] for kind in kinds[1:]):
            shown = ", ".join(text(value.declared) for value in values)
            raise DefinitionError(
                f'saga "{self.tree.saga}", {draft.path}: its alternatives give {shown}; give them one type, for what '
                f"comes after takes the value of whichever succeeded",
                code="AM1213",
            )
        self._assign(draft, _Value(values[0].declared, all(value.certain for value in values)))

    def _value(self, draft: Draft) -> _Value:
        """What a node gives to whom it is the last of."""
        children = [self.tree.drafts[child] for child in draft.children]
        match draft.kind:
            case Kind.SEQUENCE:
                return self._value(children[-1]) if children else _Value(NONE)
            case Kind.PARALLEL | Kind.SLEEP:
                return _Value(NONE)
            case Kind.CHOOSE:
                return _common([self._value(child) for child in children])
            case Kind.WAIT if children:
                return _common([_Value(self.values[draft.index].declared), self._value(children[0])])
            case _:
                return self.values[draft.index]

    def _other_input(self, where: str, wanted: Annotation, has: str, mend: str) -> DefinitionError:
        return DefinitionError(f"{where}: it takes {text(wanted)} as its input, but {has}; {mend}", code="AM1212")

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
        connection = connection_of(wired, role.where, atomic=role.atomic, is_async=function.is_async)
        return Call(function.call, function.is_async, role.where, tuple(wired), connection)

    def _argument(self, parameter: Parameter, role: _Role, own: Assigned | None) -> Argument | None:
        """The source of one parameter, by the first rule that fits; None when it keeps its default."""
        name, annotation = parameter.name, parameter.annotation
        where = f'{role.where}, parameter "{_shown(parameter)}"'
        wanted = bare(annotation) if parameter.annotated else None
        if wanted is Context:
            return self._context(name, role, where)
        if wanted is Refusals:
            return Argument(name, Source.REFUSALS)
        if is_connection(wanted) and (role.atomic or wanted not in self.resources):
            return store_connection(name, wanted, where, atomic=role.atomic)
        if own is not None and name == own.name:
            return self._result(parameter, own, where, Source.OWN_RESULT)
        found = self.scope.named(name)
        if found is not None:
            return self._result(parameter, found, where)
        not_earlier = (self.call, name) in self.tree.names
        meant = parameter.annotated and not is_plain(wanted) and not not_earlier
        if own is not None and meant and wanted == bare(own.declared):
            return self._result(parameter, own, where, Source.OWN_RESULT)
        each = self._item(name, wanted, by_type=meant)
        if each is not None:
            return Argument(
                name, Source.ITEM, codec=self._codec(self._item_annotation(parameter, each, where), where), node=each[0]
            )
        if not parameter.annotated and not not_earlier:
            if name == "ctx":
                raise DefinitionError(f'{where}: annotate it, "ctx: Context"', code="AM1203")
            return Argument(name, Source.INPUT, codec=self._codec(self.input_type, where), node=self.call)
        if parameter.annotated and wanted == self.input_bare:
            return Argument(name, Source.INPUT, codec=self._codec(annotation, where), node=self.call)
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

    def _item(self, name: str, wanted: Annotation, *, by_type: bool) -> tuple[int, Annotation] | None:
        """The EACH whose item a parameter takes, with the item's type: the innermost that fits."""
        for each in reversed(self.items):
            if by_type and wanted == bare(each[1]):
                return each
        return self.items[-1] if self.items and name == "item" else None

    def _item_annotation(self, parameter: Parameter, each: tuple[int, Annotation], where: str) -> Annotation:
        if not parameter.annotated:
            return each[1]
        if not same_kind(bare(each[1]), bare(parameter.annotation)):
            raise DefinitionError(
                f"{where}: the item is {text(each[1])}; annotate it so, or rename the parameter", code="AM1207"
            )
        return parameter.annotation

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
        index = self.tree.names[self.call, name]
        if (inside := self._inside(index)) is not None:
            why = f"it stands inside {inside.path}, which is over; only the value of {inside.path} itself is seen"
        elif role.own >= 0:
            why = "a compensation sees the input, its own result, and what was assigned before its action"
        elif role.where.startswith(f'saga "{self.tree.saga}", step "{self.tree.drafts[index].path}"'):
            why = "only the step's compensation can read the step's own result"
        else:
            why = "it comes later, or stands in another branch"
        return DefinitionError(
            f'{where}: "{self.tree.drafts[index].path}" is not earlier: {why}; reorder, or rename the parameter',
            code="AM1205",
        )

    def _inside(self, index: int) -> Draft | None:
        """The EACH or FIRST_OF around a node that was wired already, when the walk is outside of it."""
        at = self.tree.drafts[index].parent
        while at >= 0:
            draft = self.tree.drafts[at]
            if draft.kind in (Kind.EACH, Kind.FIRST_OF) and at in self.values:
                return draft
            at = draft.parent
        return None

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

    def _codec(self, declared: Annotation, where: str) -> Codec:
        try:
            return self.codecs.of(declared)
        except TypeError as error:
            raise DefinitionError(f"{where}: {text(declared)}: {error}", code="AM1209") from error


def _shown(parameter: Parameter) -> str:
    return f"{parameter.name}: {text(parameter.annotation)}" if parameter.annotated else parameter.name


def _common(values: list[_Value]) -> _Value:
    """What alternatives give, of which one is taken: one type if they agree, nothing where one gives nothing."""
    kinds = {text(bare(value.declared)): value for value in values if bare(value.declared) is not NONE}
    if not kinds:
        return _Value(NONE)
    certain = all(value.certain and bare(value.declared) is not NONE for value in values)
    declared = next(iter(kinds.values())).declared if len(kinds) == 1 else Any
    return _Value(declared, certain)
