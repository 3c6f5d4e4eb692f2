"""Durable sagas: every step done, or what was done made good.

    from amends import Orchestrator, Saga, step

A saga is a typed graph of plain functions; its state is the fold of a durable journal. See README.md.
"""

from .core.context import Context as Context
from .core.definition import Saga as Saga
from .core.nodes import choose as choose, parallel as parallel, sleep as sleep, wait_for as wait_for, when as when
from .core.steps import Step as Step, step as step
from .core.transitions import SagaStatus as SagaStatus, StepStatus as StepStatus
from .errors import (
    AmendsError as AmendsError,
    Conflict as Conflict,
    DefinitionError as DefinitionError,
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
from .runtime.handle import Handle as Handle
from .runtime.orchestrator import Orchestrator as Orchestrator
from .runtime.views import HistoryEntry as HistoryEntry, SagaView as SagaView, StepView as StepView

__version__ = "0.1.0"
