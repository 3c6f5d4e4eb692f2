"""Definitions that `Saga(...)` itself refuses: their `DefinitionError`, told as a finding of its rule.

Rules of this file: nothing is checked here; what the compiler found is not looked for again.
"""

from __future__ import annotations

import ast
import re

from ..errors import DefinitionError
from . import order
from .findings import Finding, Place, Rule, Severity
from .source import Files

RULES = (
    Rule(
        "SG000",
        Severity.ERROR,
        "the saga cannot be built",
        "mend what the message says; its code is explained in the reference of errors",
        "`Saga(...)` refuses what cannot run: a parameter that nothing fits, a name that is used twice, an option of "
        "the wrong type. The message names the step, the parameter and the mend.",
    ),
    Rule(
        "SG003",
        Severity.ERROR,
        "a saga has more than one point of no return",
        "keep one pivot, at the top level, and make what follows it retriable=True",
        "The pivot decides whether the saga goes forward or back. With two on one path, or one in a branch beside "
        "others, one may be passed while another turns the saga back.",
        codes=("AM1301", "AM1302"),
    ),
    Rule(
        "SG022",
        Severity.ERROR,
        "the graph is not one that can be walked",
        "give each path one node; for a second use of a step write step.named(...)",
        "Nodes form a tree of sequences, parallels and choices. A step that stands twice under one name, a node "
        "that is none, or a branch without nodes has no place in it.",
        codes=("AM1103", "AM1104", "AM1105", "AM1106", "AM1107"),
    ),
)
_NAMED = re.compile(r'(saga|step) "([^"]+)"')
_BY_CODE = {code: rule for rule in (*RULES, *order.RULES) for code in rule.codes}


def refused(error: DefinitionError, place: Place, files: Files | None = None) -> Finding:
    """The finding that a `DefinitionError` is.

    Parameters:
        error: what the definition was refused with.
        place: the author's line that it came through; the step that the message names is looked for in its file.
        files: where sources are read; read anew when left out.
    """
    what, split, mend = error.message.rpartition(". To mend it, ")
    if not split:
        what, split, mend = error.message.rpartition("; ")
    if not split:
        what, mend = error.message, ""
    rule = _BY_CODE.get(error.code, RULES[0])
    names = dict(_NAMED.findall(error.message))
    step = names.get("step", "")
    at = _place_of(step, place, files or Files()) if step else place
    return Finding(rule, names.get("saga", ""), step, at, f"[{error.code}] {what}", mend or rule.mend, rule.severity)


def _place_of(step: str, place: Place, files: Files) -> Place:
    """Where the function of a step is written, when its file has just one of that name."""
    name = step.rpartition("/")[2]
    found = [
        node
        for node in files.nodes(place.file)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name
    ]
    return Place(place.file, found[0].lineno, found[0].col_offset + 1) if len(found) == 1 else place
