"""The runtime on a virtual-time loop, with a network, a store and participants that fail by a seed.

    from amends.testing.simulation import simulate
    outcome = simulate(1)          # the same seed gives the same outcome.digest, in any process
    assert not outcome.broken

What is real: the orchestrator and everything below it, and the memory store. What is simulated: time,
chance, the way to the store, the participants, the death of processes, the people. `invariants.py`
says what is checked, `chance.py` what must have been hit.
"""

from .chance import MARKS
from .run import Outcome, simulate

__all__ = ["MARKS", "Outcome", "simulate"]
