"""The syntax trees of an author's functions, and what the names in them mean.

Names are told without running anything: `httpx.post` is "httpx.post", whatever it was imported as; a
method of something made by `httpx.AsyncClient()` is "httpx.AsyncClient().post"; a parameter that takes a
resource goes by its class. What cannot be told goes by the name it is written with, behind a dot:
".charge".

Rules of this file:
  * nothing of the author's is called, and no attribute of an instance is read;
  * a function whose source cannot be had has no tree, and no rule speaks of what it cannot see.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, TypeAlias, TypeVar

from ..core.functions import innermost
from .findings import Place

N = TypeVar("N", bound=ast.AST)

Routine: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_CALLED = (FunctionType, BuiltinFunctionType, MethodType, ClassMethodDescriptorType, MethodDescriptorType)
_ROUTINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Files:
    """Source files, each read and parsed once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._routines: dict[str, dict[int, list[Routine]]] = {}
        self._trees: dict[str, ast.Module | None] = {}
        self._nodes: dict[str, list[ast.AST]] = {}
        self._parents: dict[str, dict[ast.AST, ast.AST]] = {}
        self._by_kind: dict[str, dict[type, list[Any]]] = {}
        self._imports: dict[str, dict[str, str]] = {}
        self.scopes: dict[ast.AST, Any] = {}  # what `effects` keeps of a function or module
        self.sources: dict[tuple[object, ...], Source] = {}  # by a callable's id, and what its parameters take
        self.kept: list[object] = []  # those callables: no other one may get the id of one that is gone

    def lines(self, file: str) -> list[str]:
        """Its lines; none when it cannot be read."""
        if file not in self._lines:
            self._lines[file] = linecache.getlines(file)
        return self._lines[file]

    def tree(self, file: str) -> ast.Module | None:
        """Its syntax tree; None when it has none."""
        if file not in self._trees:
            lines = self.lines(file)
            try:
                self._trees[file] = ast.parse("".join(lines)) if lines else None
            except SyntaxError:  # changed since it was imported
                self._trees[file] = None
        return self._trees[file]

    def nodes(self, file: str) -> list[ast.AST]:
        """Every node of its syntax tree."""
        if file not in self._nodes:
            tree = self.tree(file)
            nodes: list[ast.AST] = [tree] if tree else []
            parents = self._parents[file] = {}
            for node in nodes:  # it grows meanwhile
                inner = _children(node)
                nodes += inner
                parents |= dict.fromkeys(inner, node)
            self._nodes[file] = nodes
        return self._nodes[file]

    def parents(self, file: str) -> dict[ast.AST, ast.AST]:
        """By node of its syntax tree, the node around it."""
        self.nodes(file)
        return self._parents[file]

    def of_kind(self, file: str, kind: type[N]) -> list[N]:
        """Every node of exactly this kind, outermost first."""
        if file not in self._by_kind:
            grouped: dict[type, list[Any]] = {}
            for node in self.nodes(file):
                grouped.setdefault(type(node), []).append(node)
            self._by_kind[file] = grouped
        return self._by_kind[file].get(kind, [])

    def imports(self, file: str) -> dict[str, str]:
        """What each imported name stands for, in full."""
        if file not in self._imports:
            found: dict[str, str] = {}
            for node in self.of_kind(file, ast.Import):
                found |= {each.asname or each.name: each.name for each in node.names}
            for whole in self.of_kind(file, ast.ImportFrom):
                found |= {each.asname or each.name: f"{whole.module}.{each.name}" for each in whole.names}
            self._imports[file] = found
        return self._imports[file]

    def routine(self, code: CodeType) -> Routine | None:
        """The node that a code object was compiled from."""
        file = code.co_filename
        if file not in self._routines:
            found: dict[int, list[Routine]] = {}
            for node in self.nodes(file):
                if isinstance(node, _ROUTINES):
                    found.setdefault(first_line(node), []).append(node)
            self._routines[file] = found
        there = [each for each in self._routines[file].get(code.co_firstlineno, ()) if name_of(each) == code.co_name]
        return there[0] if len(there) == 1 else None


@dataclass(frozen=True)
class Source:
    """One function of the author's: where it stands, and its tree.

    Attributes:
        function: the plain function; None for a callable that is none.
        file, line: of its first line, decorators included.
        tree: None when its source cannot be had.
        types: by parameter, the class of what it takes, where that is known.
    """

    files: Files
    function: FunctionType | None
    file: str
    line: int
    tree: Routine | None
    types: dict[str, type]

    @property
    def places(self) -> tuple[Place, ...]:
        """That of its `def`, then those of its decorators."""
        if self.tree is None:
            return (Place(self.file, self.line),)
        lines = [self.tree.lineno, *range(first_line(self.tree), self.tree.lineno)]
        return tuple(Place(self.file, line, self.tree.col_offset + 1) for line in lines)

    def at(self, node: ast.AST) -> tuple[Place, ...]:
        """The places of an expression or statement of its: its first line, then the others, then the function's."""
        first, last = getattr(node, "lineno", self.line), getattr(node, "end_lineno", self.line)
        column = getattr(node, "col_offset", 0) + 1
        inner = tuple(Place(self.file, line, column) for line in range(first, last + 1))
        return (*inner, *self.places)

    @cached_property
    def body(self) -> list[ast.AST]:
        """Every node of its body, those of functions inside it included; decorators and annotations are none."""
        if self.tree is None:
            return []
        roots = self.tree.body if isinstance(self.tree.body, list) else [self.tree.body]
        return [node for root in roots for node in walk(root)]

    @cached_property
    def parameters(self) -> list[str]:
        """The names of its parameters."""
        if self.tree is None:
            return []
        given = self.tree.args
        return [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """By node of its file, the node around it."""
        return self.files.parents(self.file) if self.tree is not None else {}

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What stands around a node of its tree, from the inside out."""
        while node is not self.tree and (outer := self.parents.get(node)) is not None:
            yield outer
            node = outer

    def runs_itself(self, node: ast.AST) -> bool:
        """Whether a node runs when the function does, and not in a function that it only makes."""
        return next((each for each in self.around(node) if isinstance(each, _ROUTINES)), None) is self.tree

    def chooses_between(self, one: ast.AST, other: ast.AST) -> bool:
        """Whether two nodes exclude each other: one stands in a branch or a handler that the other is outside of."""
        ours, theirs = set(self.around(one)), set(self.around(other))
        return any(
            isinstance(each, (ast.If, ast.IfExp, ast.ExceptHandler, ast.match_case)) for each in ours ^ theirs
        ) or (any(isinstance(each, (ast.If, ast.IfExp)) for each in ours & theirs))

    def mentions(self, name: str, *attributes: str) -> bool:
        """Whether its body uses a name; with attributes, one of these of it."""
        for node in self.body:
            match node:
                case ast.Attribute(value=ast.Name(id=found), attr=attribute) if found == name:
                    if attribute in attributes:
                        return True
                case ast.Name(id=found) if found == name and not attributes:
                    return True
        return False

    @property
    def is_async(self) -> bool:
        """Whether it is an `async def`."""
        return isinstance(self.tree, ast.AsyncFunctionDef)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call in its body."""
        return [node for node in self.body if isinstance(node, ast.Call)]

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What `calls` keeps of it."""
        return {}

    @cached_property
    def _called(self) -> dict[ast.Call, str]:
        return {}

    def called(self, call: ast.Call) -> str:
        """What is called, as a dotted name. Every rule asks, so that it is kept."""
        if call not in self._called:
            self._called[call] = self.dotted(call.func)
        return self._called[call]

    def dotted(self, node: ast.expr) -> str:
        """The full name of a name or attribute."""
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=value, attr=attribute):
                return f"{self.dotted(value)}.{attribute}"
            case ast.Call(func=function):
                return f"{self.dotted(function)}()"
            case ast.Await(value=value):
                return self.dotted(value)
            case _:
                return ""

    def object_of(self, node: ast.expr) -> Any:
        """The module, class or function that a name or attribute stands for; None when it cannot be told.

        A method is found by the class of what it is called on.
        """
        if isinstance(node, ast.Name) and node.id not in self.local:
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute):
            holder = self.class_of(node.value) or self.object_of(node.value)
            for each in holder.__mro__ if _is(holder, type) else (holder,):
                found = vars(each).get(node.attr) if _is(each, (ModuleType, type)) else None
                if found is not None:
                    return found
        return None

    def class_of(self, node: ast.expr) -> type | None:
        """The class whose instance a name stands for, when that is known: a resource, or a global object."""
        if not isinstance(node, ast.Name):
            return None
        if node.id in self.types:
            return self.types[node.id]
        value = None if node.id in self.local else self.known.get(node.id)
        return None if value is None or _is(value, (ModuleType, type, *_CALLED)) else type(value)

    @cached_property
    def known(self) -> Mapping[str, Any]:
        """What its free names stand for."""
        if self.function is None:
            return {}
        found: dict[str, Any] = {}
        for name, cell in zip(self.function.__code__.co_freevars, self.function.__closure__ or (), strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:  # it is bound later
                continue
        return ChainMap(found, self.function.__globals__) if found else self.function.__globals__

    @cached_property
    def local(self) -> dict[str, str]:
        """The names that it binds itself, and what is known of each: a dotted name, or ""."""
        found = dict.fromkeys(self.parameters, "")
        found |= {name: f"{_full(kind)}()" for name, kind in self.types.items()}
        values: list[tuple[str, ast.expr]] = []
        for node in self.body:
            match node:
                case ast.Import(names=names):
                    found |= {each.asname or each.name.partition(".")[0]: (each.asname and each.name)
                              or each.name.partition(".")[0] for each in names}  # fmt: skip
                case ast.ImportFrom(module=module, names=names):
                    found |= {each.asname or each.name: f"{module}.{each.name}" for each in names}
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values.append((name, value))
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    values.append((name, value))
                case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                    values.append((name, value))
                case ast.NamedExpr(target=ast.Name(id=name), value=value):
                    values.append((name, value))
                case ast.Name(id=name, ctx=ast.Store()):
                    found.setdefault(name, "")
        declared = {name for node in self.body if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
        for name in declared:
            found.pop(name, None)
        self.__dict__["local"] = found  # `dotted` asks for it
        for name, value in values:
            if name not in declared and not isinstance(value, ast.Name):
                found[name] = self.dotted(value)
        return found

    @cached_property
    def assigned(self) -> dict[str, list[ast.expr]]:
        """By local name, every expression that is assigned to it."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.body:
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        if isinstance(target, ast.Name):
                            found.setdefault(target.id, []).append(value)
                case (
                    ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                    | ast.NamedExpr(target=ast.Name(id=name), value=value)
                    | ast.AugAssign(target=ast.Name(id=name), value=value)
                ):
                    found.setdefault(name, []).append(value)
        return found

    def _name(self, name: str) -> str:
        if name in self.local:
            return self.local[name]
        value = self.known.get(name, vars(builtins).get(name))
        if _is(value, ModuleType):
            return str(vars(value)["__name__"])
        if _is(value, (type, *_CALLED)):
            return _full(value)
        return "" if value is None else f"{_full(type(value))}()"


def walk(root: ast.AST) -> list[ast.AST]:
    """As `ast.walk`, in a third of the time: most of a check is walking."""
    found = [root]
    for node in found:  # it grows meanwhile
        found += _children(node)
    return found


def _children(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for value in vars(node).values():
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
    return found


def source_of(files: Files, call: Callable[..., Any], types: dict[str, type]) -> Source:
    """The source of a callable."""
    key = (id(call), *types.items())
    if key not in files.sources:
        files.sources[key] = _source_of(files, call, types)
        files.kept.append(call)
    return files.sources[key]


def _source_of(files: Files, call: Callable[..., Any], types: dict[str, type]) -> Source:
    function = inspect.unwrap(innermost(call))
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return Source(files, None, "", 0, None, types)
    if function is not call:  # one source for a function, however it is wrapped
        return source_of(files, function, types)
    code = function.__code__
    return Source(files, function, code.co_filename, code.co_firstlineno, files.routine(code), types)


def wrappers_of(files: Files, call: Callable[..., Any]) -> Iterator[Source]:
    """The author's own decorators around a callable, as the functions that they put in its place."""
    inner: Any = innermost(call)
    home = str(getattr(inspect.unwrap(inner), "__module__", "")).partition(".")[0]
    while hasattr(inner, "__wrapped__"):
        # `functools.wraps` gives a wrapper the module's name of what it wraps; its globals tell where it was written.
        if isinstance(inner, FunctionType) and str(inner.__globals__.get("__name__", "")).partition(".")[0] == home:
            code = inner.__code__
            yield Source(files, inner, code.co_filename, code.co_firstlineno, files.routine(code), {})
        inner = inner.__wrapped__


def function_of(value: Any) -> FunctionType | None:
    """The plain function that an attribute of a class, or a global, is; None when it is none."""
    if _is(value, (staticmethod, classmethod, MethodType)):
        value = value.__func__
    return value if _is(value, FunctionType) else None


def first_line(node: Routine) -> int:
    """That of its first decorator, or its own."""
    decorators = getattr(node, "decorator_list", [])
    return decorators[0].lineno if decorators else node.lineno


def name_of(node: Routine) -> str:
    """As its code object has it."""
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """As `isinstance`, but a lazy object is not asked for the class of what it stands for."""
    return issubclass(type(value), kinds)


def _full(value: Any) -> str:
    name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    module = getattr(value, "__module__", "") or ""
    return name if module in {"", "builtins"} else f"{module}.{name}"
