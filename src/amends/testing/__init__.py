"""What tests of sagas, and of backends for Amends, stand on; public.

The fixture `orchestrator` runs sagas in virtual time (`amends.testing.plugin`, which pytest finds by itself).
A `Recorder` is the participants' double: it notes what took effect, and misbehaves as it is told.
`assert_completed(saga)` and its like show a saga's timeline when they fail.
`verify_saga(saga, case)` runs a saga through everything that can go wrong, and `replay` one of it again.
`assert_clean(saga)` is `amends check` as a test.
`amends.testing.store_suite.StoreSuite` holds a store to its protocol.

Nothing here is imported by the rest of the package.
Each name is imported when it is first asked for: pytest loads the plugin wherever Amends is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asserting import (
        assert_compensated as assert_compensated,
        assert_completed as assert_completed,
        assert_requires_manual as assert_requires_manual,
        assert_undone as assert_undone,
    )
    from .checking import assert_clean as assert_clean
    from .exploring.case import Case as Case
    from .exploring.findings import Failure as Failure, Verified as Verified
    from .exploring.verifying import replay as replay, verify_saga as verify_saga
    from .recorder import (
        Behaviour as Behaviour,
        Effect as Effect,
        Recorder as Recorder,
        apply_then_raise as apply_then_raise,
        hangs as hangs,
        raises as raises,
        rejects as rejects,
        slow as slow,
    )
    from .virtual import (
        Orchestrators as Orchestrators,
        VirtualOrchestrator as VirtualOrchestrator,
        VirtualTime as VirtualTime,
    )

_HOMES = {
    "Behaviour": ".recorder",
    "Case": ".exploring.case",
    "Effect": ".recorder",
    "Failure": ".exploring.findings",
    "Orchestrators": ".virtual",
    "Recorder": ".recorder",
    "Verified": ".exploring.findings",
    "VirtualOrchestrator": ".virtual",
    "VirtualTime": ".virtual",
    "apply_then_raise": ".recorder",
    "assert_clean": ".checking",
    "assert_compensated": ".asserting",
    "assert_completed": ".asserting",
    "assert_requires_manual": ".asserting",
    "assert_undone": ".asserting",
    "hangs": ".recorder",
    "raises": ".recorder",
    "rejects": ".recorder",
    "replay": ".exploring.verifying",
    "slow": ".recorder",
    "verify_saga": ".exploring.verifying",
}

__all__ = [
    "Behaviour",
    "Case",
    "Effect",
    "Failure",
    "Orchestrators",
    "Recorder",
    "Verified",
    "VirtualOrchestrator",
    "VirtualTime",
    "apply_then_raise",
    "assert_clean",
    "assert_compensated",
    "assert_completed",
    "assert_requires_manual",
    "assert_undone",
    "hangs",
    "raises",
    "rejects",
    "replay",
    "slow",
    "verify_saga",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
