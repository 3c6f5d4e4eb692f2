"""docs/reference/api.md: every public name, with its signature, parameters, units and errors."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from typing import Any

import amends
import amends.crypto
import amends.drawing
import amends.errors
import amends.lint
import amends.observe
import amends.participant
import amends.testing
from tools.reference.text import generated, linked, parse, table

# What a reader looks for together stands together; `groups` adds what stands nowhere.
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Defining sagas", "amends", ("Saga", "step", "Step", "Retry", "Context")),
    ("Nodes of the graph", "amends", ("parallel", "choose", "when", "each", "call", "first_of", "wait_for", "sleep")),
    ("Said by your functions", "amends", ("Rejected", "NotSent", "Accepted")),
    ("Told to your functions", "amends", ("Refusals", "Refusal")),
    ("Payloads", "amends", ("Redacted",)),
    ("Encryption", "amends.crypto", ("KeyRing",)),
    (
        "Running and looking",
        "amends",
        ("Orchestrator", "start_in_transaction", "Handle", "SagaView", "StepView", "HistoryEntry"),
    ),
    ("Without asyncio", "amends", ("SyncOrchestrator", "SyncHandle")),
    ("Statuses", "amends", ("SagaStatus", "StepStatus")),
    (
        "Errors",
        "amends",
        (
            "AmendsError", "DefinitionError", "UsageError", "PayloadError", "NotFound", "Conflict", "KeyConflict",
            "FilterError", "SagaFailed", "SagaCompensated", "SagaRequiresManual", "StoreError",
        ),
    ),
    ("Errors of the store", "amends.errors", ("StoreUnavailable", "StoreFailed", "StoreUnusable", "LeaseLost")),
    (
        "For services that are called",
        "amends.participant",
        ("Guard", "Go", "Probe", "Reply", "Decision", "Sighting", "Op", "create_schema", "forget", "purge"),
    ),
    ("Looking on", "amends.observe", ("Notice", "Bus", "Subscription", "LoggingSubscriber", "Translator")),
    (
        "Checking",
        "amends.lint",
        ("check", "Finding", "Rule", "Severity", "Place", "line", "record", "sarif", "junit", "refused", "RULES"),
    ),
    (
        "Testing",
        "amends.testing",
        (
            "Orchestrators", "VirtualOrchestrator", "VirtualTime", "assert_completed", "assert_compensated",
            "assert_requires_manual", "assert_undone", "Recorder", "Effect", "Behaviour", "apply_then_raise", "raises",
            "rejects", "hangs", "slow", "assert_clean",
        ),
    ),
    ("Drawing", "amends.drawing", ("plan", "text", "mermaid", "svg", "Plan", "Mark", "Names", "names_of")),
)  # fmt: skip
# Public for the runtime's sake: what they take and give is the journal's stored form, which is no matter of users.
INTERNAL = {
    "Saga": {
        "encode_input", "decode_input", "canonical_input", "encode_result", "encode_probed", "encode_signal",
        "decode_payload", "decode_result",
    },
    "Step": {"seal"},
}  # fmt: skip
MODULES = {module.__name__: module for module in (
    amends, amends.crypto, amends.drawing, amends.errors, amends.lint, amends.participant, amends.observe,
    amends.testing,
)}  # fmt: skip
INTRODUCTION = """\
Everything that is public, in the words of its docstrings. Import from the module that a heading names; what is not
listed here may change without notice. Lengths of time are seconds, or texts such as `"250ms"`, `"10s"`, `"5m"`,
`"24h"`, `"7d"`.
"""


def groups() -> list[tuple[str, str, tuple[str, ...]]]:
    """`GROUPS`, and what stands in none of them as one more, so that no public name is left out."""
    listed = {(module, name) for _, module, names in GROUPS for name in names}
    rest = [
        ("Others", module.__name__, tuple(name for name in module.__all__ if (module.__name__, name) not in listed))
        for module in MODULES.values()
        if hasattr(module, "__all__")
    ]
    return [*GROUPS, *(group for group in rest if group[2])]


def page() -> str:
    """The whole page."""
    lines = [*generated("API", "docstrings and signatures"), INTRODUCTION]
    for title, module, names in groups():
        lines += [f"## {title}", "", f"From `{module}`.", ""]
        for name in names:
            lines += _one(name, getattr(MODULES[module], name))
    return "\n".join(lines).rstrip() + "\n"


def _one(name: str, value: Any) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        yield from _documented(value)
        yield ", ".join(f"`{member.value}`" for member in value)
        yield ""
    elif inspect.isclass(value):
        yield from _class(name, value)
    else:
        yield from _signature(name, value)
        yield from _documented(value)


def _class(name: str, value: type) -> Iterator[str]:
    bases = [
        base.__name__ for base in value.__bases__ if base.__module__.startswith("amends") and base.__name__ != "Event"
    ]
    if issubclass(value, BaseException):
        code = getattr(value, "code", "").removeprefix("AM0000")  # the root's, which nothing bears
        yield f"{linked(code)}; a kind of `{bases[0] if bases else 'Exception'}`." if code else "A kind of `Exception`."
        yield ""
    else:
        yield from _signature(name, value)
    yield from _documented(value)
    for member, what in vars(value).items():
        if (member.startswith("_") and member != "__getitem__") or member in INTERNAL.get(name, ()):
            continue
        plain = what.__func__ if isinstance(what, (staticmethod, classmethod)) else what
        if isinstance(what, property) and what.__doc__:
            yield f"#### {name}.{member}"
            yield ""
            yield from _documented(what)
        elif inspect.isfunction(plain) and plain.__doc__:
            yield f"#### {name}.{member}"
            yield ""
            yield from _signature(member, plain)
            yield from _documented(plain)


def _signature(name: str, value: Any) -> Iterator[str]:
    try:
        told = inspect.signature(value)
    except (TypeError, ValueError):
        return
    parameters = [each for each in told.parameters.values() if each.name not in {"self", "cls"}]
    if dataclasses.is_dataclass(value) and name in {"SagaView", "StepView", "HistoryEntry", "Probe", "Reply"}:
        return  # made by Amends, never by its users; the attributes stand below
    returns = (
        ""
        if told.return_annotation in (told.empty, None, "None") or inspect.isclass(value)
        else f" -> {_named(told.return_annotation)}"
    )
    begin = "async def " if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value) else ""
    line = f"{begin}{name}({', '.join(_parameters(parameters))}){returns}"
    if len(line) > 100:
        inner = ",\n    ".join(_parameters(parameters))
        line = f"{begin}{name}(\n    {inner},\n){returns}"
    # Not marked as Python: a signature is no code that runs.
    yield "```text"
    yield line
    yield "```"
    yield ""


def _parameters(parameters: list[inspect.Parameter]) -> list[str]:
    told, keyword = [], False
    for at, each in enumerate(parameters):
        if each.kind is each.KEYWORD_ONLY and not keyword:
            keyword = True
            if not any(before.kind is before.VAR_POSITIONAL for before in parameters[:at]):
                told.append("*")
        star = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        text = star + each.name
        if each.annotation is not each.empty:
            text += f": {_named(each.annotation)}"
        if each.default is not each.empty:
            text += f" = {_default(each.default)}"
        told.append(text)
        last_positional = each.kind is each.POSITIONAL_ONLY and (
            at + 1 == len(parameters) or parameters[at + 1].kind is not each.POSITIONAL_ONLY
        )
        if last_positional:
            told.append("/")
    return told


def _named(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def _default(value: Any) -> str:
    if inspect.isfunction(value) or (
        not isinstance(value, (str, int, float, bool, tuple, type(None))) and " at 0x" in repr(value)
    ):
        return "..."
    if type(value).__name__ in {"mappingproxy", "Raw"}:
        return "{}"
    return repr(value)


def _documented(value: Any) -> Iterator[str]:
    doc = parse(value.__doc__)
    if doc.text:
        yield linked(doc.text)
        yield ""
    for section, entries in doc.sections.items():
        if section in {"Parameters", "Attributes"}:
            yield from table(
                (section.lower().removesuffix("s"), ""), [(_names(name), linked(text)) for name, text in entries]
            )
        elif entries:
            yield f"**{section}**"
            yield ""
            for name, text in entries:
                yield f"- `{name}`: {linked(text)}" if name else f"- {linked(text)}"
            yield ""


def _names(names: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in names.split(","))
