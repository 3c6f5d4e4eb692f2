"""`amends check`: mistakes of a saga's author, found without running anything.

    findings    a rule, and what it finds            source     the trees of functions, and what names mean
    subject     one saga as rules look at it         calls      what a call does, as far as its name tells
    words       the words by which names are judged  under_none what a compensation does without a result
    ignoring    comments that silence one place
    catalogue   every rule by its id                 checking   runs them
    reports     findings as lines, and for programs  baseline   findings that are known

and the rules, grouped by idea:

    refused     what `Saga(...)` itself refuses      order      what stands before what
    undoing     compensations                        keys       how a repeated call is told for one
    repeated    what a repetition does once more
    patience    timeouts, deadlines, retries         outcomes   what a function says of its outcome
    effects     effects in the wrong place           isolation  what others see meanwhile
    memory      what does not last                   unattended work that nobody waits for

and what is no rule, the rollback table, the model check and the comparison of versions:

    rollback    every point of failure               failing    one of them, driven to its end
    driving     a saga on its way through the kernel given      where the arguments of a compensation come from
    model       every way through a graph            differing  what differs between two structures

Rules of this package: nothing of the author's is called. A rule is certain or says that it asks.
"""

from __future__ import annotations

from .catalogue import RULES, RULES_BY_RUNNING
from .checking import check
from .findings import Finding, Place, Rule, Severity
from .refused import refused
from .reports import junit, line, record, sarif

__all__ = [
    "RULES",
    "RULES_BY_RUNNING",
    "Finding",
    "Place",
    "Rule",
    "Severity",
    "check",
    "junit",
    "line",
    "record",
    "refused",
    "sarif",
]
