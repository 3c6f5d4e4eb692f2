"""The pytest plugin: the fixtures `orchestrator` and `participant`.

Rules of this file: pytest loads it wherever Amends is installed, so it imports nothing but pytest; what a fixture
needs is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .participant import Participant
    from .virtual import Orchestrators


@pytest.fixture
def orchestrator() -> Iterator[Orchestrators]:
    """Orchestrators on a memory store, in virtual time.

    amends = orchestrator(saga, resources=[double])
    orchestrator.time.advance("24h")
    """
    from .virtual import Orchestrators

    orchestrators = Orchestrators()
    try:
        yield orchestrators
    finally:
        orchestrators.close()


@pytest.fixture
def participant() -> Iterator[Participant]:
    """An HTTP participant on loopback, which misbehaves as it is told.

    participant.next_calls("charge_card", apply_then_500())
    """
    from .participant import Participant

    with Participant() as running:
        yield running
