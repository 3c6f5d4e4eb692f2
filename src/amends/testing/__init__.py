"""What tests of sagas, and of backends for Amends, stand on; public.

The fixture `orchestrator` runs sagas in virtual time (`amends.testing.plugin`, which pytest finds by itself), and
`assert_completed(saga)` and its like show a saga's timeline when they fail. `assert_clean(saga)` is `amends check` as a
test. `amends.testing.store_suite.StoreSuite` holds a store to its protocol. Nothing here is imported by the rest of the
package.

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
    from .virtual import (
        Orchestrators as Orchestrators,
        VirtualOrchestrator as VirtualOrchestrator,
        VirtualTime as VirtualTime,
    )

_HOMES = {
    "Orchestrators": ".virtual",
    "VirtualOrchestrator": ".virtual",
    "VirtualTime": ".virtual",
    "assert_clean": ".checking",
    "assert_compensated": ".asserting",
    "assert_completed": ".asserting",
    "assert_requires_manual": ".asserting",
    "assert_undone": ".asserting",
}

__all__ = [
    "Orchestrators",
    "VirtualOrchestrator",
    "VirtualTime",
    "assert_clean",
    "assert_compensated",
    "assert_completed",
    "assert_requires_manual",
    "assert_undone",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
