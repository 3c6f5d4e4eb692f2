"""What tests of sagas, and of backends for Amends, stand on; public.

The fixture `orchestrator` runs sagas in virtual time (`amends.testing.plugin`, which pytest finds by itself).
A `Recorder` is the participants' double: it notes what took effect, and misbehaves as it is told.
A `Participant` is one on a real network, and misbehaves there.
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
    from .participant import (
        Answer as Answer,
        Participant as Participant,
        answers_late as answers_late,
        answers_nonsense as answers_nonsense,
        apply_then_500 as apply_then_500,
        apply_then_reset as apply_then_reset,
        busy as busy,
        cuts_the_answer as cuts_the_answer,
        dribbles as dribbles,
        lies_done as lies_done,
        lies_refused as lies_refused,
        never_answers as never_answers,
        refuses as refuses,
        resets as resets,
    )
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
    "Answer": ".participant",
    "Behaviour": ".recorder",
    "Case": ".exploring.case",
    "Effect": ".recorder",
    "Failure": ".exploring.findings",
    "Orchestrators": ".virtual",
    "Participant": ".participant",
    "Recorder": ".recorder",
    "Verified": ".exploring.findings",
    "VirtualOrchestrator": ".virtual",
    "VirtualTime": ".virtual",
    "answers_late": ".participant",
    "answers_nonsense": ".participant",
    "apply_then_500": ".participant",
    "apply_then_raise": ".recorder",
    "apply_then_reset": ".participant",
    "assert_clean": ".checking",
    "assert_compensated": ".asserting",
    "assert_completed": ".asserting",
    "assert_requires_manual": ".asserting",
    "assert_undone": ".asserting",
    "busy": ".participant",
    "cuts_the_answer": ".participant",
    "dribbles": ".participant",
    "hangs": ".recorder",
    "lies_done": ".participant",
    "lies_refused": ".participant",
    "never_answers": ".participant",
    "raises": ".recorder",
    "refuses": ".participant",
    "rejects": ".recorder",
    "replay": ".exploring.verifying",
    "resets": ".participant",
    "slow": ".recorder",
    "verify_saga": ".exploring.verifying",
}

__all__ = [
    "Answer",
    "Behaviour",
    "Case",
    "Effect",
    "Failure",
    "Orchestrators",
    "Participant",
    "Recorder",
    "Verified",
    "VirtualOrchestrator",
    "VirtualTime",
    "answers_late",
    "answers_nonsense",
    "apply_then_500",
    "apply_then_raise",
    "apply_then_reset",
    "assert_clean",
    "assert_compensated",
    "assert_completed",
    "assert_requires_manual",
    "assert_undone",
    "busy",
    "cuts_the_answer",
    "dribbles",
    "hangs",
    "lies_done",
    "lies_refused",
    "never_answers",
    "raises",
    "refuses",
    "rejects",
    "replay",
    "resets",
    "slow",
    "verify_saga",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
