"""Durable sagas: every step done, or what was done made good.

    from amends import Orchestrator, Saga, step

A saga is a typed graph of plain functions; its state is the fold of a durable journal. See README.md.

Each name is imported when it is first asked for, so a module of definitions costs no event loop and no
store, and the command line none of the definitions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.accepted import Accepted as Accepted
    from .core.context import Context as Context
    from .core.definition import Saga as Saga
    from .core.nodes import (
        call as call,
        choose as choose,
        each as each,
        first_of as first_of,
        parallel as parallel,
        sleep as sleep,
        wait_for as wait_for,
        when as when,
    )
    from .core.redaction import Redacted as Redacted
    from .core.refusals import Refusal as Refusal, Refusals as Refusals
    from .core.steps import Step as Step, step as step
    from .core.transitions import SagaStatus as SagaStatus, StepStatus as StepStatus
    from .errors import (
        AmendsError as AmendsError,
        Conflict as Conflict,
        DefinitionError as DefinitionError,
        FilterError as FilterError,
        KeyConflict as KeyConflict,
        NotFound as NotFound,
        NotSent as NotSent,
        PayloadError as PayloadError,
        Rejected as Rejected,
        SagaCompensated as SagaCompensated,
        SagaFailed as SagaFailed,
        SagaRequiresManual as SagaRequiresManual,
        StoreError as StoreError,
        UsageError as UsageError,
    )
    from .policies.retry import Retry as Retry
    from .runtime.beginning import (
        start_in_async_transaction as start_in_async_transaction,
        start_in_transaction as start_in_transaction,
    )
    from .runtime.handle import Handle as Handle
    from .runtime.orchestrator import Orchestrator as Orchestrator
    from .runtime.sync import SyncHandle as SyncHandle, SyncOrchestrator as SyncOrchestrator
    from .runtime.views import HistoryEntry as HistoryEntry, SagaView as SagaView, StepView as StepView

__version__ = "0.1.0"

_HOMES = {
    "Accepted": ".core.accepted",
    "AmendsError": ".errors",
    "Conflict": ".errors",
    "Context": ".core.context",
    "DefinitionError": ".errors",
    "FilterError": ".errors",
    "Handle": ".runtime.handle",
    "HistoryEntry": ".runtime.views",
    "KeyConflict": ".errors",
    "NotFound": ".errors",
    "NotSent": ".errors",
    "Orchestrator": ".runtime.orchestrator",
    "PayloadError": ".errors",
    "Redacted": ".core.redaction",
    "Refusal": ".core.refusals",
    "Refusals": ".core.refusals",
    "Rejected": ".errors",
    "Retry": ".policies.retry",
    "Saga": ".core.definition",
    "SagaCompensated": ".errors",
    "SagaFailed": ".errors",
    "SagaRequiresManual": ".errors",
    "SagaStatus": ".core.transitions",
    "SagaView": ".runtime.views",
    "Step": ".core.steps",
    "StepStatus": ".core.transitions",
    "StepView": ".runtime.views",
    "StoreError": ".errors",
    "SyncHandle": ".runtime.sync",
    "SyncOrchestrator": ".runtime.sync",
    "UsageError": ".errors",
    "call": ".core.nodes",
    "choose": ".core.nodes",
    "each": ".core.nodes",
    "first_of": ".core.nodes",
    "parallel": ".core.nodes",
    "sleep": ".core.nodes",
    "start_in_async_transaction": ".runtime.beginning",
    "start_in_transaction": ".runtime.beginning",
    "step": ".core.steps",
    "wait_for": ".core.nodes",
    "when": ".core.nodes",
}

__all__ = [
    "Accepted",
    "AmendsError",
    "Conflict",
    "Context",
    "DefinitionError",
    "FilterError",
    "Handle",
    "HistoryEntry",
    "KeyConflict",
    "NotFound",
    "NotSent",
    "Orchestrator",
    "PayloadError",
    "Redacted",
    "Refusal",
    "Refusals",
    "Rejected",
    "Retry",
    "Saga",
    "SagaCompensated",
    "SagaFailed",
    "SagaRequiresManual",
    "SagaStatus",
    "SagaView",
    "Step",
    "StepStatus",
    "StepView",
    "StoreError",
    "SyncHandle",
    "SyncOrchestrator",
    "UsageError",
    "call",
    "choose",
    "each",
    "first_of",
    "parallel",
    "sleep",
    "start_in_async_transaction",
    "start_in_transaction",
    "step",
    "wait_for",
    "when",
]


def __getattr__(name: str) -> Any:
    module = _HOMES.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = globals()[name] = getattr(import_module(module, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
