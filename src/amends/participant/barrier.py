"""The barrier's words, and its one decision: does this call run, or is its answer already known?

A participant keeps one row per (saga, step, operation) in its own database and writes it in the
transaction of its business writes. Calls may arrive twice, late, or in the wrong order; the rows
decide what each of them is worth:

    the call                                    the action's row           decision
    action, first                               inserted now               RUN
    action, again                               applied or refused         DUPLICATE: the stored answer
    action, after its own undo                  void                       LATE_ACTION: 409, for good
    compensation, first                         applied                    RUN
    compensation, first                         refused                    NULL_COMPENSATION: nothing to undo
    compensation, first                         none: inserted as void     NULL_COMPENSATION; the action is blocked
    compensation, again                         (any)                      DUPLICATE: the stored answer

Rules of this file:
  * **A refused action is kept.** Its row vouches that no attempt under the key had or will have an
    effect, so the refusal is conclusive, and a compensation that follows finds nothing to undo.
  * **A refused compensation is not kept.** Whether an undo is possible depends on the world ("the
    courier has left"), and the world changes: the operator's `retry` comes with the same key and must
    be decided anew. Nothing is lost by that, for the action's row stays and says what is owed.
  * **An exception keeps nothing**: business writes and barrier rows are rolled back together, and
    the next attempt is a first one.
  * Effects *outside* the participant's database have no place inside the guarded block: the row
    would roll back with an exception though the effect has landed, and its undo would be judged null.
  * Rows outlive the saga: a purged action row turns a late compensation into a null one, which is a
    lost undo. `forget` a saga when its orchestrator is done with it, `purge` by an age beyond that.

No database is named here; an adapter inserts the rows and asks `decide`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from ..errors import PayloadError, UsageError
from ..limits import PAYLOAD_BYTES_MAX


class Op(StrEnum):
    """What a request asks for."""

    ACTION = "action"
    COMPENSATION = "compensation"
    PROBE = "probe"


class Decision(StrEnum):
    """What a guarded call is worth; only RUN does its business writes."""

    RUN = "run"
    DUPLICATE = "duplicate"
    NULL_COMPENSATION = "null_compensation"
    LATE_ACTION = "late_action"


class Sighting(StrEnum):
    """What a probe saw of an action. NOT_SEEN is not "no effect": the request may still land."""

    FOUND = "found"
    REFUSED = "refused"
    NOT_SEEN = "not_seen"


class State(StrEnum):
    """The state of a barrier row; see `barrier.sql`."""

    APPLIED = "applied"
    REFUSED = "refused"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: an HTTP status and a JSON body, which is always an object."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe saw, and the answer to give for it: the stored one, 409 or 404."""

    sighting: Sighting
    reply: Reply


@dataclass(frozen=True, slots=True)
class Row:
    """A barrier row, as an adapter read it."""

    state: State
    status: int
    body: str


EMPTY: Final = "{}"
LATE: Final = '{"reason":"this action was undone before it arrived; it can no longer take effect"}'
SEALED: Final = '{"reason":"a probe found no trace of this action and sealed it; it can no longer take effect"}'


def decide(op: Op, inserted: bool, own: Row, action: Row) -> tuple[Decision, Reply]:
    """What a call is worth, and the answer it gets if it does not run.

    Parameters:
        op: ACTION or COMPENSATION.
        inserted: this call inserted its own row, so it is the first that gets through.
        own: the call's own row.
        action: the row of the step's action, which a compensation inserts as VOID when there is none.
    """
    if not inserted:
        late = op is Op.ACTION and own.state is State.VOID
        return (Decision.LATE_ACTION if late else Decision.DUPLICATE), reply_of(own)
    if op is Op.COMPENSATION and action.state is not State.APPLIED:
        return Decision.NULL_COMPENSATION, reply_of(own)
    return Decision.RUN, reply_of(own)


def sighting_of(action: Row | None) -> Probe:
    """What the action's row proves to a probe.

    An action that was undone meanwhile is still FOUND: it did take effect, which is what was asked.
    """
    if action is None:
        return Probe(Sighting.NOT_SEEN, Reply(404, {"reason": "not seen; the request may still arrive"}))
    found = action.state is State.APPLIED
    return Probe(Sighting.FOUND if found else Sighting.REFUSED, reply_of(action))


def reply_of(row: Row) -> Reply:
    """The answer that a row holds."""
    return Reply(row.status, msgspec.json.decode(row.body, type=dict[str, Any]))


def encode(body: Mapping[str, Any]) -> str:
    """A reply's body as it is stored.

    Raises:
        PayloadError: it is not JSON, or longer than 1 MiB.
    """
    try:
        text = msgspec.json.encode(dict(body)).decode()
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise PayloadError(f"the reply cannot be stored as JSON: {error}", code="AM2405") from error
    if len(text) > PAYLOAD_BYTES_MAX:
        raise PayloadError(f"the reply has {len(text)} characters; the limit is {PAYLOAD_BYTES_MAX}", code="AM2405")
    return text


class Go:
    """What a guarded block may do, and what it answers. Adapters subclass it with a transaction.

    Attributes:
        decision: what this call is worth.
        run: whether the business writes are to be done.
        stored: the answer to give: that of the first call for a DUPLICATE, otherwise what `reply` or
            `refuse` said, and `200 {}` when neither was called.
    """

    __slots__ = ("_body", "_refused", "_status", "decision")

    decision: Decision

    def __init__(self) -> None:
        self._refused = False
        self._status = 200
        self._body = EMPTY

    @property
    def run(self) -> bool:
        """Whether the business writes are to be done, now, in this transaction."""
        return self.decision is Decision.RUN

    @property
    def stored(self) -> Reply:
        """The answer to give, as a duplicate would get it: decoded from what is stored."""
        return reply_of(Row(State.APPLIED, self._status, self._body))

    def reply(self, body: Mapping[str, Any], status: int = 200) -> None:
        """Give `body` as the answer, and keep it: a duplicate of this call gets the same one.

        Raises:
            UsageError: this call does not run, was refused before, or the status is not a success.
            PayloadError: the body is not JSON, or longer than 1 MiB.
        """
        self._expect_run("reply")
        if self._refused:
            raise UsageError(
                "go.reply(): this call was refused already; a refusal cannot become a success", code="AM2404"
            )
        if not 200 <= status < 300:
            raise UsageError(
                f"go.reply(status={status}): give 200 to 299, or use go.refuse() for a business no", code="AM2404"
            )
        self._status, self._body = status, encode(body)

    def refuse(self, status: int = 409, body: Mapping[str, Any] | None = None) -> None:
        """Say a business "no". All writes of the block are rolled back, those that follow included.

        The refusal of an action is kept and is conclusive; that of a compensation is given but not
        kept, so that it can be asked for again.

        Raises:
            UsageError: this call does not run, or the status is not one of 400 to 499.
            PayloadError: the body is not JSON, or longer than 1 MiB.
        """
        self._expect_run("refuse")
        if not 400 <= status < 500:
            raise UsageError(
                f"go.refuse(status={status}): give 400 to 499; raise for what is not a decision", code="AM2404"
            )
        self._refused = True
        self._status, self._body = status, encode(body or {})

    def _expect_run(self, verb: str) -> None:
        if not self.run:
            raise UsageError(
                f"go.{verb}(): this call is a {self.decision} and its answer is known; do it under `if go.run:`",
                code="AM2404",
            )
