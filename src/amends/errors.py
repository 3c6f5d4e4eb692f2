"""Every error a user of Amends can meet, with a stable code.

The first split is by blame: your definition, your call, the business, the store.

    Exception
    ├── AmendsError                       the root of all that Amends raises
    │   ├── DefinitionError      AM1xxx   a saga that cannot run; raised when it is built
    │   ├── UsageError           AM2xxx   a call that cannot be served (also a ValueError)
    │   │   ├── FilterError      AM203x   a text that is no filter; it marks the place
    │   │   └── PayloadError     AM21xx   a value that cannot be stored, or no longer decodes
    │   ├── NotFound             AM3xxx   no such saga, step or definition (also a LookupError)
    │   ├── Conflict             AM4001   not in this state; names the state and what it allows
    │   │   └── KeyConflict      AM4002   the start key is taken by another input
    │   ├── SagaFailed           AM5000   the saga ended, or stands, without success
    │   │   ├── SagaCompensated      AM5001   everything done was made good
    │   │   └── SagaRequiresManual   AM5002   something is parked: a person decides
    │   └── StoreError           AM6xxx   the infrastructure under the journal
    │       ├── StoreUnavailable     AM6001   busy or out of reach; nothing lost, try again
    │       ├── StoreFailed          AM6002   a write failed (disk full, fsync): nothing more is acknowledged
    │       ├── StoreUnusable        AM6003   not a database, newer than the code, read-only
    │       └── LeaseLost            AM6004   another orchestrator holds the store now
    ├── Rejected                          raised by *your* functions: a business "no", no effect
    └── NotSent                           raised by *your* functions: proven not sent, no effect

A message says what happened, where, and how to mend it. Rules of this file: no imports but the
standard library's; every class that can be raised has its own code or takes one.
"""

from __future__ import annotations

from typing import Any


class AmendsError(Exception):
    """The root of all errors that Amends itself raises.

    Parameters:
        message: what happened, where, and how to mend it.
        code: the stable code, `AM` and four digits; the class's own when left out.
    """

    code: str = "AM0000"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


class DefinitionError(AmendsError):
    """A saga, step or node that cannot run; raised when it is built, never later."""

    code = "AM1000"


class UsageError(AmendsError, ValueError):
    """A call that cannot be served as it was made."""

    code = "AM2000"


class FilterError(UsageError):
    """A text that is no filter.

    The message shows the text with a mark under what is wrong.

    Attributes:
        what: what is wrong, in one line.
        pointer: the text, and a line with the mark; None when the text as a whole is meant.
    """

    code = "AM2030"

    def __init__(self, what: str, *, pointer: tuple[str, str] | None = None, code: str | None = None) -> None:
        lines = "".join(f"\n    {line}" for line in pointer or ())
        super().__init__(f"filter: {what}{lines}", code=code)
        self.what = what
        self.pointer = pointer


class PayloadError(UsageError):
    """A value that cannot be stored as JSON, is over its limit, or no longer decodes."""

    code = "AM2100"


class NotFound(AmendsError, LookupError):
    """No such saga, step, signal or definition."""

    code = "AM3001"


class Conflict(AmendsError):
    """The saga is not in a state that allows this; the message names the state and what it allows."""

    code = "AM4001"


class KeyConflict(Conflict):
    """The start key was used before, with another input."""

    code = "AM4002"


class SagaFailed(AmendsError):
    """A saga ended without success, or stands and waits for a person.

    Attributes:
        saga_id: the saga.
        status: its status, in lower case ("compensated", "closed", "requires_manual").
        cause: why it turned back or stopped, in one line.
        errors: every error the journal keeps of it, oldest first.
        stays: for a closed saga, the paths of the steps whose effect stays.
    """

    code = "AM5000"

    def __init__(
        self,
        message: str,
        *,
        saga_id: str = "",
        status: str = "",
        cause: str = "",
        errors: tuple[str, ...] = (),
        stays: tuple[str, ...] = (),
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.saga_id = saga_id
        self.status = status
        self.cause = cause
        self.errors = errors
        self.stays = stays


class SagaCompensated(SagaFailed):
    """The saga turned back and every compensation was acknowledged."""

    code = "AM5001"


class SagaRequiresManual(SagaFailed):
    """Something of the saga is parked and a person decides; not an end."""

    code = "AM5002"


class StoreError(AmendsError):
    """The store under the journal could not serve."""

    code = "AM6000"


class StoreUnavailable(StoreError):
    """Busy or out of reach. Nothing was lost; whether the last write landed may be unknown."""

    code = "AM6001"


class StoreFailed(StoreError):
    """A write failed for good (disk full, I/O error). Nothing more is acknowledged; restart to recover."""

    code = "AM6002"


class StoreUnusable(StoreError):
    """Not a database, newer than this code, or not writable."""

    code = "AM6003"


class LeaseLost(StoreError):
    """Another orchestrator took the store over; nothing of this one is written any more."""

    code = "AM6004"


class Rejected(Exception):
    """A business "no", raised by an action: proven to have had no effect.

    From a compensation it is a refusal for good; from a probe it proves that the action never
    took and never can take effect.

    Parameters:
        reason: shown to people; kept in the journal.
        conclusive: vouches for *every* attempt made under the step's key, not for this one only.
            Without it a refusal that follows an unknown attempt proves nothing about that attempt.
    """

    def __init__(self, reason: str = "", *, conclusive: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.conclusive = conclusive


class NotSent(Exception):
    """Raised by an author who vouches that the attempt never reached the participant.

    The step failed without effect: it is retried, and when its attempts are used up the saga
    turns back without compensating it. Never inferred from any other exception.
    """

    def __init__(self, reason: str = "", *_: Any) -> None:
        super().__init__(reason)
        self.reason = reason
