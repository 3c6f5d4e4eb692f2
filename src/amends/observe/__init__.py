"""Looking on: the event bus, and what listens to it.

Rules of this package: a subscriber learns, and never decides; the engine runs the same with none.
It reads the journal's events and nothing else of the core, and knows neither stores nor runtime.
The catalogue of events is the docstring of `amends.observe.bus`.
"""

from __future__ import annotations

from .bus import Bus, Notice, Subscription
from .logging import LoggingSubscriber
from .translator import Translator

__all__ = ["Bus", "LoggingSubscriber", "Notice", "Subscription", "Translator"]
