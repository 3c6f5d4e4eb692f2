"""`assert_clean`: `amends check` as a test.

def test_the_saga_has_no_known_mistakes():
    assert_clean(place_order)
"""

from __future__ import annotations

from typing import Any

from ..core.definition import Saga
from ..lint import Severity, check, line


def assert_clean(*sagas: Saga[Any, Any], severity: str = "warning") -> None:
    """Fail when a rule finds something in these sagas; the failure lists place, rule, mistake and mend.

    Parameters:
        sagas: what `Saga(...)` made.
        severity: the least that counts: "error", "warning" or "info".

    Raises:
        AssertionError: something was found.
    """
    __tracebackhide__ = True  # pytest shows the test's line, not this one
    least = Severity(severity)
    found = [each for each in check(*sagas) if each.severity.at_least(least)]
    if found:
        lines = "\n".join(f"{line(each)}\n    {each.mend}" for each in found)
        raise AssertionError(f"{len(found)} found:\n{lines}")
