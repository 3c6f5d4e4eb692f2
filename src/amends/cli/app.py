"""The grammar of the command line: the commands that run, look and act; those that keep a store are in `upkeep`.

Rules of this file: no work is done here. A command's module is imported inside its function, so that
`--help` and a mistyped option cost no import of the orchestrator.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import CycloptsError, Parameter

from ..errors import AmendsError
from . import proving, upkeep  # noqa: F401 -- their commands join the application
from .exits import DEFECT, INTERRUPTED, OK, USAGE, code_of, complain, say
from .grammar import (
    ACT,
    LOOK,
    NONE,
    RUN,
    Actor,
    By,
    FilterText,
    Flag,
    Ids,
    Reason,
    Subject,
    Text,
    Texts,
    Word,
    app,
    wait_for as _await,
)
from .options import COMMON, MANY, Common, Many


def run(argv: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    odd = next((word for word in argv if _undecodable(word)), None)
    if odd is not None:
        complain(f"{odd!r} is no text in UTF-8")
        return USAGE
    try:
        code = app(list(argv))
        return code if isinstance(code, int) else OK
    except CycloptsError as error:
        complain(error)
        say("amends: see `amends --help`, or `amends COMMAND --help`")
        return USAGE
    except AmendsError as error:
        complain(error)
        return code_of(error)
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        say("amends: interrupted; what was durable stays so")
        return INTERRUPTED
    except Exception:
        import traceback

        traceback.print_exc()
        complain("this is a defect of Amends; please report it with the lines above")
        return DEFECT


def _undecodable(word: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in word)


# --- running -------------------------------------------------------------------------------------


@app.command(group=RUN)
def demo(
    *,
    orders: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    seed: int = 1,
    faults: float = 0.1,
    in_flight: int = 100,
    limit: int | None = None,
    directory: Path | None = None,
    plain: Flag = False,
) -> int:
    """Run the shop: a thousand orders through five services, with faults and kills, then an audit.

    Parameters:
        orders: A file of orders (JSON Lines), - for standard input; the shipped one when left out.
        seed: Of faults, kills, the clerk and the approver.
        faults: The share of answers that go wrong, 0 to 1.
        in_flight: How many sagas at a time.
        limit: Only so many orders of the file.
        directory: Where the databases are left; a temporary one when left out.
        plain: Plain lines also on a terminal.
    """
    from .running import demonstrate

    return demonstrate(
        orders=orders,
        seed=seed,
        faults=faults,
        in_flight=in_flight,
        limit=limit,
        directory=directory,
        plain=plain or None,
    )


@app.command(group=RUN)
def worker(
    *,
    until_idle: Flag = False,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    concurrency: int = 1_000,
    grace: str = "10s",
    retention: Annotated[str | None, Parameter(show_default=False)] = None,
    key_retention: str = "30d",
    common: Common = COMMON,
) -> int:
    """Run the sagas of --app until SIGINT or SIGTERM.

    Parameters:
        until_idle: End when no saga is awake: all have ended, or sleep, or wait for a person.
        log_level: What is logged to standard error.
        concurrency: Calls of actions, compensations and probes at a time.
        grace: How long running calls may go on at shutdown.
        retention: Prune sagas this long after their end, such as 30d; without it they are kept.
        key_retention: How much longer their start keys are kept, and what became of them.
    """
    from .running import work

    settings = {"concurrency": concurrency, "grace": grace, "retention": retention, "key_retention": key_retention}
    return work(common, until_idle=until_idle, level=log_level, settings=settings)


@app.command(group=RUN)
def start(
    name: str,
    input: Text = "null",
    /,
    *,
    key: str = "",
    correlation: Texts = NONE,
    wait: Flag = False,
    common: Common = COMMON,
) -> int:
    """Start a saga of --app; a worker runs it.

    Parameters:
        name: The definition's name; its highest version is taken.
        input: The input as JSON; - reads it from standard input.
        key: Deduplicates: a second start of the same key finds the first.
        correlation: name=value, finds the saga again; may be repeated.
        wait: Wait for the end; exit 1 if the saga fails or needs a person.
    """
    from .acting import start_saga

    return _await(start_saga(common, name, input, key=key, correlation=correlation, wait=wait))


# --- looking -------------------------------------------------------------------------------------


@app.command(name="list", group=LOOK)
def list_(
    *,
    filter: FilterText = "",
    status: Texts = NONE,
    name: str = "",
    key: str = "",
    hold: str = "",
    correlation: Texts = NONE,
    limit: int = 50,
    common: Common = COMMON,
) -> int:
    """List sagas, newest first.

    Parameters:
        filter: Only those that fit, as in 'status:running customer:ann waiting>1h'.
        status: Only of this status, such as requires_manual; may be repeated.
        name: Only of this definition.
        key: Only that of this start key.
        hold: Only those held for this: timer, signal, retry, manual, version, poison, paused.
        correlation: Only those started with name=value; may be repeated.
        limit: At most so many.
    """
    from .looking import list_sagas

    return _await(
        list_sagas(
            common, filter=filter, status=status, name=name, key=key, hold=hold, correlation=correlation, limit=limit
        )
    )  # fmt: skip


@app.command(group=LOOK)
def count(
    *,
    filter: FilterText = "",
    by: Annotated[tuple[By, ...], Parameter(negative_iterable="")] = (),
    common: Common = COMMON,
) -> int:
    """Count sagas.

    Parameters:
        filter: Only those that fit, as for list.
        by: Count for each value of this, and with another --by for each pair; version is of each name.
    """
    from .looking import count_sagas

    return _await(count_sagas(common, filter=filter, by=by))


@app.command(group=LOOK)
def show(saga_id: Subject, /, *, at: str = "", common: Common = COMMON) -> int:
    """Draw one saga as a timeline, and say what can be done about it.

    Parameters:
        saga_id: The saga's id, or a bundle's file.
        at: A past moment: 2026-11-25T10:00:00 (UTC), 10m-ago, or a frame's number.
    """
    from .looking import show_saga

    return _await(show_saga(common, saga_id, at=at))


@app.command(group=LOOK)
def history(
    saga_id: Subject, /, *, follow: Annotated[bool, Parameter(alias="-f", negative="")] = False, common: Common = COMMON
) -> int:
    """Print one saga's journal, event by event.

    Parameters:
        saga_id: The saga's id, or a bundle's file.
        follow: Print what comes, until nothing is left to do for the saga.
    """
    if follow:
        from .tailing import follow_history

        return _await(follow_history(common, saga_id))
    from .looking import show_history

    return _await(show_history(common, saga_id))


@app.command(group=LOOK)
def why(saga_id: Subject, /, *, at: str = "", common: Common = COMMON) -> int:
    """Say in sentences why one saga stands where it stands, from its present to the first causes.

    Parameters:
        saga_id: The saga's id, or a bundle's file.
        at: A past moment, as for show.
    """
    from .explaining import explain

    return _await(explain(common, saga_id, at=at))


@app.command(group=LOOK)
def tail(
    *,
    filter: FilterText = "",
    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False,
    last: Annotated[int | None, Parameter(alias="-n", show_default=False)] = None,
    start: Annotated[int | None, Parameter(name="--from", show_default=False)] = None,
    common: Common = COMMON,
) -> int:
    """Print journal events of all sagas, in the order in which they became durable.

    Parameters:
        filter: Only of sagas that fit; each is judged as it stood after the event.
        follow: Wait for what comes.
        last: So many of the newest events [default: 10].
        start: Go on after this position, which an earlier tail named.
    """
    from .tailing import tail as print_tail

    return _await(print_tail(common, filter=filter, follow=follow, last=last, start=start))


@app.command(group=LOOK)
def top(
    *,
    since: str = "",
    filter: FilterText = "",
    watch: Flag = False,
    every: str = "1s",
    common: Common = COMMON,
) -> int:
    """Print what became of sagas, by definition and version.

    Shares are of the sagas that settled: that ended in the window, or stand in requires_manual since a moment of it.
    BY HAND are those that stand there or ever stood there, were closed, or of which a person retried, resolved or
    skipped something. Lengths are of those that ended: nearest rank, exact. FAILS MOST is the step that failed in
    the most of them, mended or not. IN FLIGHT is now.

    Parameters:
        since: How far back the window reaches, such as 1h; always when left out.
        filter: Only of sagas that fit.
        watch: Draw them anew until interrupted.
        every: How often.
    """
    from .figures import top as print_top

    return _await(print_top(common, filter=filter, since=since, watch=watch, every=every))


@app.command(group=LOOK)
def graph(
    name: str = "",
    /,
    *,
    version: Annotated[int, Parameter(show_default=False)] = 0,
    format: Literal["text", "mermaid", "svg", "html"] = "text",
    saga: Subject = "",
    rollback: Flag = False,
    common: Common = COMMON,
) -> int:
    """Draw a definition's graph; with --saga, with how each of its nodes stands.

    With --rollback, print for every point at which it can fail what is undone, in which order, with which inputs, and
    where the saga ends. That needs --app, and neither a store nor a worker.

    Parameters:
        name: The definition's name.
        version: Its version; the highest when left out.
        format: Of a graph: a tree for a terminal (text), a Mermaid flowchart, or an SVG picture. Of a rollback table:
            text, mermaid, or a page of HTML by itself.
        saga: A saga's id, or a bundle's file.
        rollback: The rollback table instead of the graph.
    """
    from .drawing import graph as draw, rollback_table

    if rollback:
        return rollback_table(common, name, version=version, form=format, saga=saga)
    return _await(draw(common, name, version=version, form=format, saga=saga))


@app.command(group=LOOK)
def export(
    saga_id: str,
    /,
    *,
    out: Annotated[str, Parameter(alias="-O", show_default=False)] = "",
    no_payloads: Flag = False,
    common: Common = COMMON,
) -> int:
    """Write one saga as a bundle, which show, history, why and graph open on another machine.

    Parameters:
        saga_id: The saga's id.
        out: The file to make; standard output when left out.
        no_payloads: Leave input, results and signals' payloads out.
    """
    from .exporting import export_saga

    return _await(export_saga(common, saga_id, out=out, payloads=not no_payloads))


# --- acting --------------------------------------------------------------------------------------


@app.command(group=ACT)
def retry(ids: Ids = NONE, /, *, reason: Reason, actor: Actor = "", many: Many = MANY, common: Common = COMMON) -> int:
    """Call again what is parked, poisoned or backing off."""
    return _on_all(common, many, "retry", ids, reason=reason, actor=actor)


@app.command(group=ACT)
def resolve(
    saga_id: Word = None,
    step: Word = None,
    outcome: Word = None,
    *,
    reason: Reason,
    result: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    actor: Actor = "",
    many: Many = MANY,
    common: Common = COMMON,
) -> int:
    """Say what became of a step, as a person who looked: amends resolve ID STEP done|not_done.

    Parameters:
        saga_id: The saga's id; left out with --filter.
        step: The step's path.
        outcome: Turning back, done: its compensation was done by hand, not_done: its action never took
            effect. Going forward, done: its action took effect, not_done: it did not.
        result: The step's result as JSON, when something reads it; - reads it from standard input.
    """
    from .acting import from_json
    from .bulk import shifted

    each, step, outcome = shifted(many, (saga_id, step, outcome), "ID STEP done|not_done")
    value = None if result is None else from_json(result, "--result")
    return _on_one(
        common, many, "resolve", each, step=step, outcome=outcome, result=value, reason=reason, actor=_who(actor)
    )


@app.command(group=ACT)
def skip(
    saga_id: Word = None,
    step: Word = None,
    *,
    reason: Reason,
    actor: Actor = "",
    many: Many = MANY,
    common: Common = COMMON,
) -> int:
    """Leave out an owed compensation, or a last step, for good; the saga ends closed: amends skip ID STEP.

    Parameters:
        saga_id: The saga's id; left out with --filter.
        step: The step's path.
    """
    from .bulk import shifted

    each, step = shifted(many, (saga_id, step), "ID STEP")
    return _on_one(common, many, "skip", each, step=step, reason=reason, actor=_who(actor))


@app.command(group=ACT)
def cancel(
    ids: Ids = NONE, /, *, reason: Reason, actor: Actor = "", many: Many = MANY, common: Common = COMMON
) -> int:  # fmt: skip
    """Turn sagas back, if there is still a way back."""
    return _on_all(common, many, "cancel", ids, reason=reason, actor=actor)


@app.command(group=ACT)
def pause(
    ids: Ids = NONE,
    /,
    *,
    reason: Reason = "paused by hand",
    actor: Actor = "",
    many: Many = MANY,
    common: Common = COMMON,
) -> int:
    """Begin no attempt any more, compensations included, until resumed."""
    return _on_all(common, many, "pause", ids, reason=reason, actor=actor)


@app.command(group=ACT)
def resume(
    ids: Ids = NONE,
    /,
    *,
    reason: Reason = "resumed by hand",
    actor: Actor = "",
    many: Many = MANY,
    common: Common = COMMON,
) -> int:
    """Go on after a pause."""
    return _on_all(common, many, "resume", ids, reason=reason, actor=actor)


@app.command(group=ACT)
def signal(
    saga_id: Word = None,
    name: Word = None,
    payload: Word = None,
    /,
    *,
    id: str = "",
    many: Many = MANY,
    common: Common = COMMON,
) -> int:
    """Give a saga what one of its waits waits for, also before it is reached: amends signal ID NAME [JSON].

    Parameters:
        saga_id: The saga's id; left out with --filter.
        name: The signal's name.
        payload: JSON; - reads it from standard input [default: null].
        id: Deduplicates: a second signal of the same id does nothing.
    """
    from .acting import from_json
    from .bulk import shifted

    each, name, said = shifted(many, (saga_id, name, payload), "ID NAME [JSON]", last="null")
    return _on_one(common, many, "signal", each, name=name, payload=from_json(said, "the payload"), id=id)


def _on_all(common: Common, many: Many, verb: str, ids: Sequence[str], *, reason: str, actor: str) -> int:
    from .acting import act_on_all
    from .bulk import act_on_many, chosen

    who = _who(actor)
    if chosen(many, ids) or many.dry_run:
        return _await(act_on_many(common, many, verb, ids, reason=reason, actor=who))
    return _await(act_on_all(common, verb, ids, lambda to, each: getattr(to, verb)(each, reason=reason, actor=who)))


def _on_one(common: Common, many: Many, verb: str, saga_id: str, **words: Any) -> int:
    from .acting import act
    from .bulk import act_on_many, chosen

    ids = [saga_id] if saga_id else []
    if chosen(many, ids) or many.dry_run:
        return _await(act_on_many(common, many, verb, ids, **words))
    return _await(act(common, verb, saga_id, lambda to, each: getattr(to, verb)(each, **words)))


def _who(actor: str) -> str:
    from .acting import user_name

    return actor or user_name()
