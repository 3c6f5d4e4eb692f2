"""`Saga`: a definition, compiled and checked when it is built.

Rules of this file: a `Saga` never changes after its construction and holds no running state, so
several orchestrators may share one. What it knows of payloads is offered as methods here, and the
runtime needs no codec of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

from msgspec import Raw

from ..errors import DefinitionError, PayloadError, UsageError
from ..policies.durations import Duration
from .accepted import Accepted
from .annotations import NONE, Annotation, bare
from .calls import Binding
from .codec import NULL, Codec
from .compiler import Compiled, compile_saga
from .functions import calling_frame, local_names
from .graph import Graph, Kind
from .nodes import AnyNode, AnyStep, call, choose, each, first_of, parallel, sleep, wait_for, when
from .redaction import INPUT, Path, Redactions, given_to
from .steps import Step, check_name, length, step

__all__ = ["Saga", "Step", "call", "choose", "each", "first_of", "parallel", "sleep", "step", "wait_for", "when"]

In = TypeVar("In")
Out = TypeVar("Out")
I = TypeVar("I")  # noqa: E741 -- the input of the overload at hand
T = TypeVar("T")


class _Rest(TypedDict, total=False):
    """The keywords that no type depends on."""

    version: int
    deadline: Duration | None
    on_completed: Sequence[AnyStep]
    on_compensated: Sequence[AnyStep]
    resources: Sequence[type]


@dataclass(frozen=True, slots=True)
class Written:
    """What the author wrote, for a `call` of the saga: its nodes, `result=`, and where annotations resolve."""

    nodes: tuple[AnyNode, ...]
    result: AnyStep | None
    names: Mapping[str, Any]


class Saga(Generic[In, Out]):
    """A definition of a saga: a graph of steps that is checked when it is built.

    Parameters:
        name: its name; starting by name takes the highest version.
        nodes: what runs, in order.
        version: of this definition; another structure needs another version.
        input: the input's type; left out, the annotation of the first step's first parameter that
            is not the Context, and plain JSON when there is none. A type checker cannot follow that:
            without `input=` it takes the saga for a `Saga[Any, ...]`.
        result: the step whose result is the saga's; left out, the last node, and for a type checker `Any`.
        deadline: how long a saga may take, in seconds or as a text with a unit; None for ever.
        on_completed: steps that run after a completed end.
        on_compensated: steps that run after a compensated end.
        resources: classes whose instances the orchestrator is given, to be handed to functions.

    Attributes:
        name, version: as given.
        graph: the compiled structure; node indices are its.
        fingerprint: changes exactly when the structure does.
        bindings: by node index, what is called there and how its payload is stored.
        steps: the steps by their path.
        input_type: the input's type.
        resources: the classes, as declared, those of called sagas included.
        written: what a `call` of it takes.
        place: the file and line where it was built.
        redactions: the marked places of its payloads, which people must not see.

    Raises:
        DefinitionError: the saga cannot run; the message says what, where and how to mend it.
    """

    name: str
    version: int
    graph: Graph
    fingerprint: str
    bindings: tuple[Binding, ...]
    steps: dict[str, AnyStep]
    input_type: Annotation
    resources: tuple[type, ...]
    written: Written
    place: tuple[str, int]
    redactions: Redactions

    @overload
    def __init__(
        self: Saga[I, T],
        name: str,
        *nodes: AnyNode,
        input: type[I],
        result: Step[..., Any, T | Accepted],
        **rest: Unpack[_Rest],
    ) -> None: ...
    @overload
    def __init__(
        self: Saga[I, Any], name: str, *nodes: AnyNode, input: type[I], result: None = ..., **rest: Unpack[_Rest]
    ) -> None: ...
    @overload
    def __init__(
        self: Saga[Any, T],
        name: str,
        *nodes: AnyNode,
        input: None = ...,
        result: Step[..., Any, T | Accepted],
        **rest: Unpack[_Rest],
    ) -> None: ...
    @overload
    def __init__(
        self: Saga[Any, Any], name: str, *nodes: AnyNode, input: None = ..., result: None = ..., **rest: Unpack[_Rest]
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *nodes: AnyNode,
        version: int = 1,
        input: Any = None,
        result: AnyStep | None = None,
        deadline: Duration | None = None,
        on_completed: Sequence[AnyStep] = (),
        on_compensated: Sequence[AnyStep] = (),
        resources: Sequence[type] = (),
    ) -> None:
        check_name(name, "a saga")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise DefinitionError(f'saga "{name}": version={version!r}; give a whole number from 1', code="AM1402")
        frame = calling_frame()
        written = Written(nodes, result, local_names(frame))
        compiled = compile_saga(
            name,
            version,
            nodes,
            input_type=input,
            result=result,
            deadline_ms=0 if deadline is None else length(deadline, f'saga "{name}": deadline='),
            on_completed=on_completed,
            on_compensated=on_compensated,
            resources=tuple(resources),
            names=written.names,
        )
        self.name = name
        self.version = version
        self.graph = compiled.graph
        self.fingerprint = compiled.graph.fingerprint
        self.bindings = compiled.bindings
        self._whats: dict[int, str] = {}
        self.steps = compiled.steps
        self.input_type = compiled.input.declared
        self.resources = compiled.resources
        self.written = written
        self.place = (frame.f_code.co_filename, frame.f_lineno)
        self._input = compiled.input
        self._result = compiled.result
        self.redactions = _redactions(compiled)
        for own in compiled.steps.values():
            own.seal(name)

    def __repr__(self) -> str:
        return f"<saga {self.name} version {self.version}>"

    # --- payloads ---------------------------------------------------------------------------------

    def encode_input(self, value: In) -> Raw:
        """The stored form of an input.

        Raises:
            PayloadError: AM2101 to AM2107.
        """
        return self._input.encode(value, what=f'saga "{self.name}", input')

    def decode_input(self, raw: bytes | Raw) -> In:
        """The input that `raw` holds.

        Raises:
            PayloadError: AM2108.
        """
        value: In = self._input.decode(raw, what=f'saga "{self.name}", input')
        return value

    def read_input(self, json: bytes) -> In:
        """The input that JSON from outside holds; a pydantic model's may bear its aliases.

        Raises:
            PayloadError: AM2107.
        """
        value: In = self._input.decode_outside(json, what=f'saga "{self.name}", input')
        return value

    def canonical_input(self, raw: bytes | Raw) -> bytes:
        """A stored input as today's type writes it: what two starts of one key are compared by.

        Raises:
            PayloadError: AM2108.
        """
        return self._input.canonical(raw, what=f'saga "{self.name}", input')

    def encode_result(self, node: int, value: Any) -> Raw:
        """The stored form of a step's result.

        Raises:
            PayloadError: AM2101 to AM2107.
        """
        return self._payload(node).encode(value, what=self._what(node))

    def encode_probed(self, node: int, value: Any) -> Raw | None:
        """The stored form of the result that a probe returned; None when it says *not seen*.

        Raises:
            PayloadError: AM2101 to AM2107.
        """
        if value is None or value is False:
            return None
        codec = self._payload(node)
        if value is True and bare(codec.declared) is NONE:
            return NULL
        return codec.encode(value, what=f"{self._what(node)}, as its probe found it")

    def encode_signal(self, name: str, value: Any) -> Raw:
        """The stored form of a signal's payload.

        Raises:
            UsageError: AM2004, no wait of this saga has that name.
            PayloadError: AM2101 to AM2107.
        """
        waits = {node.signal: node.index for node in self.graph.nodes if node.kind is Kind.WAIT}
        if name not in waits:
            known = ", ".join(sorted(waits)) or "none"
            raise UsageError(f'saga "{self.name}" waits for no signal "{name}"; its signals: {known}', code="AM2004")
        return self._payload(waits[name]).encode(value, what=f'saga "{self.name}", signal "{name}"')

    def decode_payload(self, node: int, raw: bytes | Raw) -> Any:
        """A step's result, or a wait's payload, that `raw` holds.

        Raises:
            PayloadError: AM2108.
        """
        return self._payload(node).decode(raw, what=self._what(node))

    def decode_result(self, raw: bytes | Raw) -> Out:
        """The saga's result that `raw` holds.

        None when the step that gives it did not run; plain JSON when it ends in a `choose` whose
        branches give different types.

        Raises:
            PayloadError: AM2108.
        """
        value: Any = None if bytes(raw) == b"null" else self._result.decode(raw, what=f'saga "{self.name}", result')
        result: Out = value
        return result

    def _payload(self, node: int) -> Codec:
        codec = self.bindings[node].payload
        if codec is None:
            raise PayloadError(f"{self._what(node)}: this node has no value; only steps and waits have", code="AM2101")
        return codec

    def _what(self, node: int) -> str:
        what = self._whats.get(node)
        if what is None:
            what = self._whats[node] = self._describe(node)
        return what

    def _describe(self, node: int) -> str:
        return f'saga "{self.name}", result of "{self.graph.nodes[node].path}"'


def _redactions(compiled: Compiled) -> Redactions:
    """By the path of each node, and the input's, what of its payload is marked."""
    found: dict[str, tuple[Path, ...]] = {INPUT: compiled.input.redacted}
    for node, binding in zip(compiled.graph.nodes, compiled.bindings, strict=True):
        if binding.payload is not None:
            found[node.path] = binding.payload.redacted
        if binding.given is not None:
            found[given_to(node.path)] = binding.given.redacted
    return {place: paths for place, paths in found.items() if paths}
