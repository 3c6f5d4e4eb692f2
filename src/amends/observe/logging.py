"""Notices as log records of the standard library.

    orchestrator.subscribe(LoggingSubscriber())

Each record carries `event`, `saga`, `saga_name`, `step`, `attempt`, `duration` and `correlation` as
attributes (`extra=`), so that a JSON formatter or a filter needs no parsing of the message.

Rules of this file: what needs a person is WARNING, what stops the service is ERROR, what ended is
INFO, what merely begins is DEBUG.
"""

from __future__ import annotations

import logging
from types import MappingProxyType

from .bus import Notice

LEVELS = MappingProxyType(
    {
        "store.failed": logging.ERROR,
        "lease.lost": logging.ERROR,
        "saga.requires_manual": logging.WARNING,
        "saga.followup_failed": logging.WARNING,
        "saga.anomaly": logging.WARNING,
        "saga.held": logging.WARNING,
        "step.parked": logging.WARNING,
        "step.abandoned": logging.WARNING,
        "compensation.owed": logging.WARNING,
        "compensation.refused": logging.WARNING,
        "saga.began": logging.DEBUG,
        "step.started": logging.DEBUG,
        "probe.started": logging.DEBUG,
        "compensation.started": logging.DEBUG,
        "choice.made": logging.DEBUG,
        "wait.started": logging.DEBUG,
        "sleep.started": logging.DEBUG,
    }
)  # every other event is INFO


class LoggingSubscriber:
    """Writes each notice to a logger.

    Parameters:
        logger: where to; the logger `amends` when left out.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.logger = logging.getLogger("amends") if logger is None else logger

    def __call__(self, notice: Notice) -> None:
        """Write one notice, if its level is on."""
        level = LEVELS.get(notice.event, logging.INFO)
        if not self.logger.isEnabledFor(level):
            return
        extra = {
            "event": notice.event,
            "saga": notice.saga_id,
            "saga_name": notice.name,
            "step": notice.step,
            "attempt": notice.attempt,
            "duration": notice.duration,
            "correlation": dict(notice.correlation),
        }
        self.logger.log(level, sentence(notice), extra=extra)


def sentence(notice: Notice) -> str:
    """One line for a person: what happened, to which step, how often and how long, and why."""
    words = [notice.event]
    if notice.name:
        words.append(f"{notice.name} {notice.saga_id}")
    if notice.step:
        words.append(notice.step)
    if notice.attempt > 1:
        words.append(f"attempt {notice.attempt}")
    if notice.duration is not None:
        words.append(f"{notice.duration:.3f}s")
    words += [f"{key}={value}" for key, value in notice.details.items() if value not in ("", None, False)]
    return " ".join(words) + (f": {notice.error}" if notice.error else "")
