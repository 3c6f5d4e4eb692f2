"""What tests of sagas, and of backends for Amends, stand on; public.

The fixture `orchestrator` runs sagas in virtual time (`amends.testing.plugin`, which pytest finds by itself).
A `Recorder` is the participants' double: it notes what took effect, and misbehaves as it is told.
`assert_completed(saga)` and its like show a saga's timeline when they fail.
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
    "Effect": ".recorder",
    "Orchestrators": ".virtual",
    "Recorder": ".recorder",
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
    "slow": ".recorder",
}

__all__ = [
    "Behaviour",
    "Effect",
    "Orchestrators",
    "Recorder",
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
    "slow",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
