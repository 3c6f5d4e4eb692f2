"""Durable sagas: every step done, or what was done made good.

    from amends import Orchestrator, Saga, step

A saga is a typed graph of plain functions; its state is the fold of a durable journal. See README.md.
"""

from .core.context import Context as Context
from .core.definition import Saga as Saga
from .core.nodes import choose as choose
from .core.nodes import parallel as parallel
from .core.nodes import sleep as sleep
from .core.nodes import wait_for as wait_for
from .core.nodes import when as when
from .core.steps import Step as Step
from .core.steps import step as step
from .core.transitions import SagaStatus as SagaStatus
from .core.transitions import StepStatus as StepStatus
from .errors import AmendsError as AmendsError
from .errors import Conflict as Conflict
from .errors import DefinitionError as DefinitionError
from .errors import KeyConflict as KeyConflict
from .errors import NotFound as NotFound
from .errors import NotSent as NotSent
from .errors import PayloadError as PayloadError
from .errors import Rejected as Rejected
from .errors import SagaCompensated as SagaCompensated
from .errors import SagaFailed as SagaFailed
from .errors import SagaRequiresManual as SagaRequiresManual
from .errors import StoreError as StoreError
from .errors import UsageError as UsageError
from .policies.retry import Retry as Retry
from .runtime.handle import Handle as Handle
from .runtime.orchestrator import Orchestrator as Orchestrator
from .runtime.views import HistoryEntry as HistoryEntry
from .runtime.views import SagaView as SagaView
from .runtime.views import StepView as StepView

__version__ = "0.1.0"
