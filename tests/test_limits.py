"""Every limit of `amends.limits` at its boundary: the last value that is let through, and the first that is not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Raw

from amends import (
    Context,
    DefinitionError,
    Orchestrator,
    PayloadError,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    UsageError,
    call,
    each,
    limits,
    parallel,
    sleep,
    step,
    wait_for,
)
from amends.cli import subjects
from amends.core import events as ev
from amends.core.codec import Codec
from amends.core.filter_text import parse
from amends.core.filters import Filter
from amends.core.fold import fold
from amends.core.state import SagaState
from amends.errors import Conflict
from amends.participant.barrier import Op, encode
from amends.participant.guard import Guard
from amends.policies.durations import milliseconds
from amends.runtime import pruning, tailing
from amends.runtime.arguments import checked_correlation, checked_id, checked_key, verb_command
from amends.runtime.clock import SystemClock
from amends.runtime.engine import Engine
from amends.runtime.evaluate import evaluate
from amends.runtime.settings import Settings
from amends.runtime.texts import error_text
from amends.stores.memory import MemoryStore
from tests.core.graphs import graph, parallel as side_by_side, step as node, wait
from tests.core.rules.driver import Run
from tests.runtime.stage import scene, until

HERE = Path(__file__).parent


def test_every_limit_has_a_test():
    """Here, or in the test of the rule that it belongs to."""
    names = {name for name in vars(limits) if name.isupper()}
    here = set(re.findall(r"limits\.([A-Z_]+)", Path(__file__).read_text()))
    assert here <= names
    others = "\n".join(file.read_text() for file in HERE.rglob("*.py") if file.name != Path(__file__).name)
    assert {name for name in names - here if not re.search(rf"\b{name}\b", others)} == set()


def refused(kind: type[Exception], code: str, make: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=code):
        make()


@step
async def first(order: dict) -> int: ...


# --- definitions ------------------------------------------------------------------------------------


def test_a_name_and_a_path():
    most = "n" * limits.PATH_CHARS_MAX
    for make in (first.named, lambda name: Saga(name, first), lambda name: wait_for(name, int)):
        make(most)
        refused(DefinitionError, "AM1101", lambda make=make: make(most + "n"))


def test_the_path_of_a_step_in_a_called_saga():
    def outer(name: str) -> Saga:
        child = Saga("child", first.named("s" * 32))
        return Saga("outer", call(child, name=name), input=dict)

    name = "c" * (limits.PATH_CHARS_MAX - 33)
    assert max(map(len, outer(name).graph.paths)) == limits.PATH_CHARS_MAX
    refused(DefinitionError, "AM1114", lambda: outer(name + "c"))


def test_nodes_of_a_definition():
    nodes = [sleep("1s") for _ in range(limits.NODES_MAX - 2)]  # and the step, and the sequence of all
    assert len(Saga("s", first, *nodes).graph.nodes) == limits.NODES_MAX
    refused(DefinitionError, "AM1107", lambda: Saga("s", first, *nodes, sleep("1s")))


def test_depth_of_combinators():
    def nested(depth: int) -> Any:
        inner: Any = first
        for number in range(depth):
            inner = parallel(inner, first.named(f"s{number}"))
        return inner

    deepest = next(depth for depth in range(200) if _is_refused(lambda depth=depth: Saga("s", nested(depth))))
    assert deepest == limits.DEPTH_MAX + 1


def _is_refused(make: Callable[[], Any]) -> bool:
    try:
        make()
    except DefinitionError as error:
        return error.code == "AM1107"
    return False


def test_attempts_of_a_retry():
    Retry(attempts=limits.ATTEMPTS_MAX)
    refused(UsageError, "AM2002", lambda: Retry(attempts=limits.ATTEMPTS_MAX + 1))


def test_a_duration():
    days = limits.DURATION_MS_MAX // 86_400_000
    assert milliseconds(f"{days}d") == milliseconds(limits.DURATION_MS_MAX / 1000) == limits.DURATION_MS_MAX
    refused(UsageError, "AM2001", lambda: milliseconds(f"{days + 1}d"))
    refused(UsageError, "AM2001", lambda: milliseconds((limits.DURATION_MS_MAX + 1) / 1000))


def test_items_at_a_time():
    def items(order: dict) -> list[int]: ...

    each(items, first.named("s"), limit=limits.ITEMS_AT_A_TIME_MAX)
    refused(DefinitionError, "AM1402", lambda: each(items, first.named("s"), limit=limits.ITEMS_AT_A_TIME_MAX + 1))


def listed(items: Callable[[], Any]) -> ev.Event:
    """What becomes of the items of an `each`."""

    def given(order: dict) -> list[str]:
        return items()

    @step
    async def use(item: str) -> None: ...

    saga = Saga("s", each(given, use, item=str), input=dict)
    state = SagaState(saga.graph)
    fold(state, ev.Started("s", "s", 1, saga.fingerprint, Raw(b"{}")))
    fold(state, ev.Began())
    index = next(each.index for each in saga.graph.nodes if each.kind.name == "EACH")
    return evaluate(saga, state, index, {}, 0)


def test_items_of_one_each():
    assert len(listed(lambda: ["x"] * limits.ITEMS_MAX).items) == limits.ITEMS_MAX
    many = listed(lambda: ["x"] * (limits.ITEMS_MAX + 1))
    assert isinstance(many, ev.StepParked) and str(limits.ITEMS_MAX) in many.message


def test_bytes_of_all_items_of_one_each():
    most = limits.PAYLOAD_BYTES_MAX
    assert limits.ITEMS_BYTES_MAX % most == 0
    items = ["x" * (most - 2)] * (limits.ITEMS_BYTES_MAX // most)
    assert isinstance(listed(lambda: items), ev.ItemsListed)
    assert isinstance(listed(lambda: [*items, ""]), ev.StepParked)


# --- payloads ---------------------------------------------------------------------------------------


@dataclass
class Plain:
    text: str


class Struct(msgspec.Struct):
    text: str


class Model(pydantic.BaseModel):
    text: str


class Secret(pydantic.BaseModel):
    text: pydantic.SecretStr


@attrs.define
class Attrs:
    text: str


@attrs.define
class Private:
    _text: str


PAYLOADS = {
    "text": (str, str),
    "plain JSON": (Any, lambda text: {"text": text}),
    "dataclass": (Plain, Plain),
    "Struct": (Struct, Struct),
    "model": (Model, lambda text: Model(text=text)),
    "model with a secret": (Secret, lambda text: Secret(text=text)),
    "models": (list[Model], lambda text: [Model(text=text)]),
    "attrs": (Attrs, Attrs),
    "attrs with a private field": (Private, Private),
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_bytes_of_a_payload_of_each_kind(kind):
    declared, make = PAYLOADS[kind]
    codec = Codec(declared)
    frame = len(bytes(codec.encode(make(""))))
    raw = codec.encode(make("x" * (limits.PAYLOAD_BYTES_MAX - frame)))
    assert len(bytes(raw)) == limits.PAYLOAD_BYTES_MAX
    assert codec.decode(raw) == make("x" * (limits.PAYLOAD_BYTES_MAX - frame))
    refused(PayloadError, "AM2106", lambda: codec.encode(make("x" * (limits.PAYLOAD_BYTES_MAX - frame + 1))))
    refused(PayloadError, "AM2106", lambda: codec.encode(make("é" * (limits.PAYLOAD_BYTES_MAX // 2))))


@pytest.mark.parametrize("kind", PAYLOADS)
@scene
async def test_a_saga_takes_returns_and_is_signalled_payloads_up_to_the_limit(kind):
    declared, make = PAYLOADS[kind]
    room = limits.PAYLOAD_BYTES_MAX - len(bytes(Codec(declared).encode(make(""))))
    most, more = make("x" * room), make("x" * (room + 1))

    @step(retry=Retry(attempts=1))
    async def give(order: declared, ctx: Context) -> declared:
        return more if ctx.correlation else most

    @give.compensation
    async def take_back(give: declared | None) -> None:
        assert give is None

    saga = Saga("s", give, wait_for("go", declared), input=declared)
    async with Orchestrator(MemoryStore(), sagas=[saga], poll="5ms") as orchestrator:
        handle = await orchestrator.start(saga, most)
        with pytest.raises(PayloadError, match="AM2106"):
            await orchestrator.start(saga, more)
        with pytest.raises(PayloadError, match="AM2106"):
            await orchestrator.signal(handle.id, "go", more)
        await orchestrator.signal(handle.id, "go", most)
        assert await handle.result() == most
        failing = await orchestrator.start(saga, most, correlation={"give": "more"})
        with pytest.raises(SagaCompensated, match="AM2106"):  # it is done and cannot be kept: unknown, and undone
            await failing.result()


def test_characters_of_a_barrier_s_reply():
    most = "x" * (limits.PAYLOAD_BYTES_MAX - len('{"a":""}'))
    assert len(encode({"a": most})) == limits.PAYLOAD_BYTES_MAX
    refused(PayloadError, "AM2405", lambda: encode({"a": most + "x"}))


# --- what callers give --------------------------------------------------------------------------------


def test_a_start_key_a_signal_s_id_and_a_participant_s_key():
    most = "k" * limits.KEY_CHARS_MAX
    for check, code in ((checked_key, "AM2014"), (checked_id, "AM2015")):
        assert check(most) == most
        refused(UsageError, code, lambda check=check: check(most + "k"))
        with pytest.raises(UsageError, match=rf"='k{{59}}…\): .* {limits.KEY_CHARS_MAX} characters") as error:
            check(most * 100)
        assert len(str(error.value)) < 200
    key = "s/" + "p" * (limits.KEY_CHARS_MAX - len("s//action")) + "/action"
    assert Guard.from_headers({"Idempotency-Key": key}).op is Op.ACTION
    refused(UsageError, "AM2401", lambda: Guard.from_headers({"Idempotency-Key": f"s{key}"}))


def test_a_correlation():
    most = {f"n{number}": "v" for number in range(limits.CORRELATION_ENTRIES_MAX)}
    assert checked_correlation(most) == most
    refused(UsageError, "AM2016", lambda: checked_correlation({**most, "more": "v"}))
    long = "c" * limits.CORRELATION_CHARS_MAX
    assert checked_correlation({long: long}) == {long: long}
    refused(UsageError, "AM2016", lambda: checked_correlation({long + "c": "v"}))
    refused(UsageError, "AM2016", lambda: checked_correlation({"n": long + "c"}))
    with pytest.raises(UsageError, match=r"\{'n': 'c{59}…\}"):
        checked_correlation({"n": long + "c"})


def test_a_reason_and_an_actor():
    most = "r" * limits.REASON_CHARS_MAX
    verb_command("retry", most, most)
    refused(UsageError, "AM2013", lambda: verb_command("retry", most + "r", "ann"))
    refused(UsageError, "AM2013", lambda: verb_command("retry", "why", most + "r"))


# --- what is kept -------------------------------------------------------------------------------------


def test_an_error_s_text():
    most = "e" * (limits.ERROR_CHARS_MAX)
    assert error_text(Rejected(most)) == most
    cut = error_text(Rejected(most + "e"))
    assert len(cut) == limits.ERROR_CHARS_MAX and cut.endswith("e…")


@pytest.mark.parametrize("over", [0, 1])
@scene
async def test_the_text_of_a_hold(over, monkeypatch):
    """A saga that cannot go on says why, up to the limit."""
    most = limits.ERROR_CHARS_MAX - len("it cannot go on: RuntimeError('')") + over
    store = MemoryStore()
    async with Orchestrator(store, sagas=[Saga("s", wait_for("go", int))], poll="5ms") as orchestrator:
        handle = await orchestrator.start("s", None)
        engine: Engine = orchestrator._leader.engine
        async with engine.visit(handle.id) as actor:
            engine.broke(actor, RuntimeError("h" * most))

        async def held() -> list[str]:
            history = await orchestrator.history(handle.id)
            return [entry.details["message"] for entry in history if entry.event == "Held"]

        await until(held)
        (message,) = await held()
        assert len(message) == limits.ERROR_CHARS_MAX and message.endswith("')") is not bool(over)


def test_errors_a_state_shows():
    many = limits.ERRORS_KEPT + 1
    run = Run(graph(side_by_side(*(node(f"s{number}") for number in range(many)))))
    steps = [each.index for each in run.graph.nodes if each.path.startswith("s") and "#" not in each.path]
    run.tell(*(ev.ActionUnknown(index, f"e{index}") for index in steps[:-1]))
    assert len(run.state.errors) == limits.ERRORS_KEPT and f"e{steps[0]}" in run.state.errors[0]
    run.tell(ev.ActionUnknown(steps[-1], "last"))
    assert len(run.state.errors) == limits.ERRORS_KEPT and f"e{steps[1]}" in run.state.errors[0]


def test_signals_that_no_wait_has_consumed():
    run = Run(graph(node("a"), wait("w")))
    run.tell(*[ev.SignalReceived("w")] * (limits.SIGNALS_PENDING_MAX - 1)).signal("w")
    assert len(run.state.signals["w"]) == limits.SIGNALS_PENDING_MAX
    with pytest.raises(Conflict, match=str(limits.SIGNALS_PENDING_MAX)):
        run.signal("w")


def test_process_deaths_before_a_step_is_poison():
    assert Settings().deaths_max == limits.DEATHS_MAX
    run = Run(graph(node("a")), deaths_max=limits.DEATHS_MAX)
    for _ in range(limits.DEATHS_MAX - 1):
        run.tell(ev.ActionCut(1, "crash"))
        assert run.calls == ["a"]
    run.tell(ev.ActionCut(1, "crash"))
    assert run.calls == [] and run.state.slot(1).reason == "poison"


@scene
async def test_rows_of_one_page_of_a_list():
    asked = []

    class Watched(MemoryStore):
        async def summaries(self, which, *, before, limit, fresh=True):
            asked.append(limit)
            return await super().summaries(which, before=before, limit=limit, fresh=fresh)

    saga = Saga("s", wait_for("go", int))
    async with Orchestrator(Watched(), sagas=[saga], worker=False) as orchestrator:
        await asyncio.gather(*(orchestrator.start(saga, None) for _ in range(limits.PAGE_MAX + 1)))
        assert len([view async for view in orchestrator.list()]) == limits.PAGE_MAX + 1
        assert asked == [limits.PAGE_MAX] * 3  # a full page, one row, and none
        asked.clear()
        assert len([view async for view in orchestrator.list(limit=limits.PAGE_MAX + 1)]) == limits.PAGE_MAX + 1
        assert asked == [limits.PAGE_MAX, 1]


@scene
async def test_frames_that_a_tail_searches_backward(monkeypatch):
    """By a smaller number: a journal of 100,000 frames takes too long to write."""
    assert tailing.TAIL_SEARCH_FRAMES_MAX == limits.TAIL_SEARCH_FRAMES_MAX
    monkeypatch.setattr(tailing, "TAIL_PAGE_FRAMES", 2)
    saga = Saga("s", wait_for("go", int))
    async with Orchestrator(MemoryStore(), sagas=[saga], worker=False) as orchestrator:
        wanted = await orchestrator.start(saga, None, correlation={"it": "is me"})
        for _ in range(4):
            await orchestrator.start(saga, None)
        for most, found in ((4, 0), (6, 1)):
            monkeypatch.setattr(tailing, "TAIL_SEARCH_FRAMES_MAX", most)
            entries, _ = await tailing.Tail(orchestrator._store, orchestrator._reader, parse('it:"is me"')).last(1)
            assert [entry.saga_id for entry in entries] == [wanted.id] * found


def test_bytes_of_a_bundle(tmp_path, monkeypatch):
    """By a smaller number; the real one is what is compared with."""
    assert subjects.BUNDLE_BYTES_MAX == limits.BUNDLE_BYTES_MAX
    monkeypatch.setattr(subjects, "BUNDLE_BYTES_MAX", 10)
    file = tmp_path / "bundle.json"
    file.write_bytes(b"x" * 10)
    assert subjects._bytes(str(file)) == b"x" * 10
    file.write_bytes(b"x" * 11)
    refused(UsageError, "AM2552", lambda: subjects._bytes(str(file)))


def test_the_time_of_a_frame():
    assert ev.decode_frame(ev.encode_frame(limits.TIME_MS_MAX, [])).at == limits.TIME_MS_MAX
    assert ev.decode_frame(ev.encode_frame(0, [])).at == 0
    for at in (limits.TIME_MS_MAX + 1, -1):
        with pytest.raises(ValueError, match=f"its time is {at}"):
            ev.decode_frame(ev.encode_frame(at, []))


def test_sagas_of_one_transaction_of_a_pruning():
    class Full:
        """A store with more to prune than any batch takes; it counts what each transaction is given."""

        def __init__(self) -> None:
            self.left, self.taken = 2 * limits.PRUNE_BATCH_MAX, []

        async def prunable(self, which, *, limit):
            return [f"s{at}" for at in range(min(limit, self.left))]

        async def prune(self, ids, *, now):
            self.taken.append(len(ids))
            self.left -= len(ids)
            return len(ids)

        async def forget(self, **_):
            return 0

    def taken(**options: int) -> list[int]:
        store = Full()
        asyncio.run(pruning.prune(store, SystemClock(), pruning.pruning_of(Filter(), "1d", "30d", **options)))
        return store.taken

    assert taken(limit=limits.PRUNE_BATCH + 1) == [limits.PRUNE_BATCH, 1]
    assert taken(limit=limits.PRUNE_BATCH_MAX + 1, batch=limits.PRUNE_BATCH_MAX) == [limits.PRUNE_BATCH_MAX, 1]
    with pytest.raises(UsageError, match="AM2050"):
        taken(batch=limits.PRUNE_BATCH_MAX + 1)
