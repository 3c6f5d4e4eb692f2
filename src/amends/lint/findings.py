"""A rule, and what it finds.

    error      a mistake: the saga will lose, double or strand an effect
    warning    very likely one, or certain and less grave
    info       a question, or advice

Rules of this file: data only. What cannot be decided soundly is never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .subject import Subject


class Severity(StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    def at_least(self, other: Severity) -> bool:
        """Whether this is as grave as `other`, or graver."""
        order = tuple(Severity)
        return order.index(self) <= order.index(other)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file, and a line and column from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule's check yields: where it is, what is wrong there, and perhaps a mend of its own.

    Attributes:
        places: the first is shown; a comment at any of them silences the finding.
        step: the path of the step, "" when it concerns the saga.
        what: what is wrong, one sentence without its full stop.
        mend: "" for the rule's own.
        severity: None for the rule's own.
    """

    places: tuple[Place, ...]
    step: str
    what: str
    mend: str = ""
    severity: Severity | None = None


CheckAll = Callable[[Sequence["Subject"]], Iterable[tuple["Subject", Hit]]]
Check = Callable[["Subject"], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: stable, `SG` and three digits.
        severity: of its findings, unless one of them is less, or more, certain.
        title: what is wrong, in one line.
        mend: how to mend it, one sentence.
        why: what comes of it; a paragraph of its page.
        check: finds it in one saga; None when `Saga(...)` itself refuses it, or another place finds it.
        check_all: finds it in sagas that are looked at together, and says in which.
        codes: those of the `DefinitionError`s that it stands for.
    """

    id: str
    severity: Severity
    title: str
    mend: str
    why: str
    check: Check | None = None
    check_all: CheckAll | None = None
    codes: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Where it is explained, below the documentation's root."""
        return f"reference/rules/#{self.id.lower()}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake, at its place.

    Attributes:
        rule: which rule found it.
        saga: the saga's name, "" when none was built.
        step: the step's path, "" when it concerns the saga.
        place: where to look.
        what: what is wrong, one sentence.
        mend: how to mend it, one sentence.
        severity: how grave it is.
    """

    rule: Rule
    saga: str
    step: str
    place: Place
    what: str
    mend: str
    severity: Severity
