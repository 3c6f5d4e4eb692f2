"""Answers that are accepted before they are done: polled over days and restarts, by functions that are found again."""

from __future__ import annotations

import asyncio
import types
from dataclasses import dataclass
from typing import Any

import pytest

from amends import (
    Accepted,
    Context,
    Rejected,
    Retry,
    Saga,
    SagaCompensated,
    SagaRequiresManual,
    each,
    first_of,
    step,
)  # fmt: skip
from tests.runtime.stage import Ground, HandClock, events_of, kill, scene, until

ONCE = Retry(attempts=1)
DAY_MS = 86_400_000


@dataclass
class Order:
    number: int = 1


@dataclass
class Payment:
    number: int


class Bank:
    """Takes a payment or a refund, and is done with it when it is told to be."""

    def __init__(self) -> None:
        self.answers: list[Any] = []  # of polls, in turn; the last one stays
        self.asked: list[tuple[str, int, Any]] = []

    def answer(self, ctx: Context) -> Any:
        self.asked.append((ctx.op, ctx.attempt, ctx.accepted))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


bank = Bank()


@pytest.fixture(autouse=True)
def _new_bank():
    bank.__init__()


async def arrived(order: Order, ctx: Context) -> Payment | None:
    return bank.answer(ctx)


async def refunded(ctx: Context) -> bool:
    return bank.answer(ctx)


module = types.ModuleType("polls_of_a_module")
exec("async def look(ctx): return bank.answer(ctx)", module.__dict__)
module.__dict__["bank"] = bank
module.look.__annotations__["ctx"] = Context


@step(retry=ONCE)
async def pay(order: Order, ctx: Context) -> Payment | Accepted:
    return Accepted(poll=arrived, every="1d", until="30d", token={"of": ctx.idempotency_key[-10:]})


@pay.compensation(retry=ONCE)
async def refund(order: Order, payment: Payment | None, ctx: Context) -> Accepted | None:
    return Accepted(poll=refunded, every="1d", until="10d", token=["refund"])


@step
async def receipt(pay: Payment) -> int:
    return pay.number


@step
async def turn_back(order: Order) -> None:
    raise Rejected("turn back")


class Days:
    """An orchestrator whose days go by when they are told to, and that may be killed in between."""

    def __init__(self, ground: Any, *sagas: Saga[Any, Any], **more: Any) -> None:
        self.ground, self.sagas, self.more = ground, sagas, more
        self.clock = HandClock()

    async def __aenter__(self) -> Days:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.now.close()

    async def begin(self, *sagas: Saga[Any, Any]) -> None:
        self.now = self.ground.orchestrator(
            *(sagas or self.sagas), clock=self.clock, horizon="10ms", lease="60d", **self.more
        )
        await self.now.__aenter__()

    async def killed(self, *sagas: Saga[Any, Any]) -> None:
        await kill(self.now)
        await self.begin(*sagas)

    async def pass_by(self, days: float = 1) -> None:
        self.clock.ahead_ms += int(days * DAY_MS)

    async def stands(self, saga_id: str, path: str, status: str) -> None:
        async def does() -> bool:
            return (await self.now.get(saga_id))[path].status == status

        await until(does, f"{path} {status}")

    async def polled(self, count: int) -> None:
        await until(lambda: len(bank.asked) == count, f"{count} polls")

    async def counted(self, saga_id: str, event: str, count: int) -> None:
        async def has() -> bool:
            return (await events_of(self.now, saga_id)).count(event) == count

        await until(has, f"{count} times {event}")


@scene
async def test_an_action_is_polled_over_days_and_restarts_until_it_is_done_and_uses_up_no_attempts(ground):
    bank.answers = [None, None, None, Payment(7)]
    saga = Saga("orders", pay, receipt)
    async with Days(ground, saga) as days:
        handle = await days.now.start(saga, Order())
        await days.stands(handle.id, "pay", "accepted")
        await asyncio.sleep(0.03)
        assert not bank.asked  # not before its time
        for count in (1, 2, 3):
            await days.killed()
            await days.pass_by()
            await days.polled(count)
            await days.counted(handle.id, "PollPending", count)
        await days.pass_by()
        assert await days.now.handle(handle.id).result() == 7
        view = await days.now.get(handle.id)
        assert (view["pay"].attempts, view["pay"].status) == (1, "succeeded")
    assert bank.asked == [("poll", 1, {"of": bank.asked[0][2]["of"]})] * 4


@pytest.mark.parametrize("done", [True, 0, "pending"])  # whatever says neither None nor False
@scene
async def test_a_compensation_is_polled_likewise_and_compensated_only_when_it_is_done(ground, done):
    bank.answers = [Payment(1), False, None, done]
    saga = Saga("orders", pay, turn_back, input=Order)
    async with Days(ground, saga) as days:
        handle = await days.now.start(saga, Order())
        await days.stands(handle.id, "pay", "accepted")
        await days.pass_by()
        for count in (1, 2):
            await days.stands(handle.id, "pay", "undo_accepted")
            assert await days.now.handle(handle.id).status() == "compensating"
            await days.killed()
            await days.pass_by()
            await days.counted(handle.id, "PollPending", count)
        await days.pass_by()
        with pytest.raises(SagaCompensated):
            await days.now.handle(handle.id).result()
        assert (await days.now.get(handle.id))["pay"].compensation_attempts == 1
    assert bank.asked[1:] == [("compensation_poll", 1, ["refund"])] * 3


@scene
async def test_a_crash_while_a_poll_runs_asks_again(ground):
    release, asked = asyncio.Event(), []

    async def slow(ctx: Context) -> Payment:
        asked.append(ctx.attempt)
        await release.wait()
        return Payment(5)

    @step
    async def pay(order: Order) -> Payment | Accepted:
        return Accepted(poll=slow, every="1d")

    saga = Saga("orders", pay, receipt)
    async with Days(ground, saga) as days:
        handle = await days.now.start(saga, Order())
        await days.stands(handle.id, "pay", "accepted")
        await days.pass_by()
        await until(lambda: asked)
        await days.killed()
        release.set()
        assert await days.now.handle(handle.id).result() == 5
        assert "PollCut" in await events_of(days.now, handle.id)
    assert len(asked) == 2


class TestThePoll:
    """Which functions may poll, and what a poll may do."""

    async def play(self, ground: Any, function: Any, answers: list[Any]) -> int:
        bank.answers = [*answers]
        saga = Saga("orders", step(name="pay", retry=ONCE, timeout=0.1)(function), receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.killed()
            for count in range(1, len(answers)):
                await days.pass_by()
                await days.counted(handle.id, "PollPending", count)
            await days.pass_by()
            return await days.now.handle(handle.id).result()

    @scene
    async def test_it_is_a_global_a_local_or_a_module_s_function_and_may_be_a_plain_def(self, ground):
        async def local(c: Context) -> Payment | None:
            return bank.answer(c)

        def plain(ctx: Context, order: Order) -> Payment | None:
            return bank.answer(ctx)

        async def by_local(order: Order) -> Payment | Accepted:
            return Accepted(poll=local, every="1d")

        async def by_plain(order: Order) -> Payment | Accepted:
            return Accepted(poll=plain, every="1d")

        async def by_module(order: Order) -> Payment | Accepted:
            return Accepted(poll=module.look, every="1d")

        def a_plain_step(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived, every="1d")

        for number, function in enumerate((by_local, by_plain, by_module, a_plain_step)):
            assert await self.play(ground_anew(ground, number), function, [None, Payment(number)]) == number
            bank.__init__()

    @scene
    async def test_one_that_raises_times_out_or_gives_what_is_no_result_is_asked_again(self, ground):
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived, every="1d")

        wrong = [RuntimeError("500"), TimeoutError("no line"), "paid", True, Payment(9)]
        assert await self.play(ground, pay, wrong) == 9

    @scene
    async def test_one_that_hangs_is_cut_by_the_step_s_timeout_and_asked_again(self, ground):
        asked = []

        async def hangs(ctx: Context) -> Payment:
            asked.append(ctx)
            if len(asked) == 1:
                await asyncio.sleep(20)
            return Payment(3)

        @step(name="pay", timeout="30ms", retry=ONCE)
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=hangs, every="1d")

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.pass_by()
            await days.counted(handle.id, "PollPending", 1)
            assert (await days.now.get(handle.id))["pay"].error == "no answer within 30ms"
            await days.pass_by()
            assert await days.now.handle(handle.id).result() == 3

    @scene
    async def test_a_rejection_by_it_is_final_and_undoes_nothing(self, ground):
        bank.answers = [Rejected("the bank said no in the end")]
        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.pass_by()
            with pytest.raises(SagaCompensated, match="pay rejected.*said no in the end"):
                await days.now.handle(handle.id).result()
            assert (await days.now.get(handle.id))["pay"].compensation_attempts == 0

    @scene
    async def test_accepted_again_it_changes_the_rhythm_and_the_token(self, ground):
        bank.answers = [Accepted(every="5d", token="later"), None, Payment(2)]
        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.pass_by()
            await days.counted(handle.id, "PollPending", 1)
            await days.pass_by(4)
            await asyncio.sleep(0.03)
            assert len(bank.asked) == 1
            await days.pass_by(1)
            await days.counted(handle.id, "PollPending", 2)
            await days.pass_by(5)
            assert await days.now.handle(handle.id).result() == 2
        assert [asked[2] for asked in bank.asked[1:]] == ["later", "later"]

    @scene
    async def test_without_one_the_step_s_own_function_is_called_again_under_its_key(self, ground):
        calls = []

        @step(retry=ONCE)
        async def pay(order: Order, ctx: Context) -> Payment | Accepted:
            calls.append((ctx.idempotency_key, ctx.op, ctx.accepted))
            return Payment(4) if len(calls) == 3 else Accepted(every="1d", token=len(calls))

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            for count in (1, 2):
                await days.counted(handle.id, "ActionAccepted", count)
                await days.killed()
                await days.pass_by()
            assert await days.now.handle(handle.id).result() == 4
        key = f"{handle.id}/pay/action"
        assert calls == [(key, "action", None), (key, "action", 1), (key, "action", 2)]

    @scene
    async def test_without_one_failures_in_between_use_up_no_attempts_of_the_next(self, ground):
        calls, undone = [], []

        @step(retry=Retry(attempts=2, base="1ms", cap="1ms"))
        async def pay(order: Order) -> Payment | Accepted:
            calls.append(len(calls))
            if len(calls) % 2 == 0:
                raise RuntimeError("no answer")
            return Payment(4) if len(calls) == 9 else Accepted(every="1d")

        @pay.compensation
        async def refund(order: Order) -> None:
            undone.append(order)

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            for count in (1, 2, 3, 4):
                await days.counted(handle.id, "ActionAccepted", count)
                await days.pass_by()
            assert await days.now.handle(handle.id).result() == 4
        assert not undone


def ground_anew(ground: Any, number: int) -> Ground:
    return Ground(None if ground.path is None else ground.path.with_name(f"sagas{number}.db"))


class TestItsEnd:
    @scene
    async def test_after_until_an_action_is_unknown_and_undone_and_asked_no_more(self, ground):
        undone = []

        @step(retry=Retry(attempts=5, base="1ms"))
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived, every="1d", until="2d")

        @pay.compensation
        async def refund(order: Order, payment: Payment | None, ctx: Context) -> None:
            undone.append((payment, ctx.outcome))

        bank.answers = [None]
        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.pass_by()
            await days.counted(handle.id, "PollPending", 1)
            await days.pass_by()
            with pytest.raises(SagaCompensated, match="pay unknown: it was accepted, and had not finished"):
                await days.now.handle(handle.id).result()
        assert (undone, len(bank.asked)) == ([(None, "unknown")], 1)

    @scene
    async def test_after_until_a_compensation_is_owed_and_a_person_ends_it(self, ground):
        bank.answers = [Payment(1), False]
        saga = Saga("orders", pay, turn_back, input=Order)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.pass_by()
            await days.stands(handle.id, "pay", "undo_accepted")
            await days.pass_by(10)
            with pytest.raises(SagaRequiresManual, match=r"pay \(exhausted\)"):
                await days.now.handle(handle.id).result()
            await days.now.resolve(handle.id, "pay", outcome="done", reason="it arrived")
            with pytest.raises(SagaCompensated):
                await days.now.handle(handle.id).result()

    @scene
    async def test_turning_back_meanwhile_undoes_what_was_accepted_as_unknown(self, ground):
        bank.answers = [True]
        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.now.cancel(handle.id, reason="customer")
            await days.stands(handle.id, "pay", "undo_accepted")
            await days.pass_by()
            with pytest.raises(SagaCompensated, match="customer"):
                await days.now.handle(handle.id).result()

    @scene
    async def test_a_person_may_retry_or_resolve_what_is_accepted(self, ground):
        bank.answers = [Payment(6)]
        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            asked, told = await days.now.start(saga, Order()), await days.now.start(saga, Order())
            for handle in (asked, told):
                await days.stands(handle.id, "pay", "accepted")
            assert await days.now.retry(asked.id, reason="ask again")  # calls it again, under its key
            await days.counted(asked.id, "ActionAccepted", 2)
            assert await days.now.resolve(told.id, "pay", outcome="done", result={"number": 8}, reason="it came")
            assert await told.result() == 8

    @scene
    async def test_an_alternative_that_is_accepted_and_never_done_is_undone_before_the_next(self, ground):
        @step
        async def cash(order: Order) -> Payment:
            return Payment(100)

        @step(retry=ONCE)
        async def card(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived, every="1d", until="25h")

        @card.compensation
        async def uncard(order: Order) -> Accepted | None:
            return Accepted(poll=refunded, every="1d")

        @step
        async def note(payment: Payment) -> int:
            return payment.number

        bank.answers = [False, True]
        saga = Saga("orders", first_of(card, cash), note)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.stands(handle.id, "card", "accepted")
            await days.pass_by(2)
            await days.stands(handle.id, "card", "undo_accepted")
            assert (await days.now.get(handle.id))["cash"].status == "pending"
            await days.killed()
            await days.pass_by()
            await days.counted(handle.id, "PollPending", 1)
            await days.pass_by()
            assert await days.now.handle(handle.id).result() == 100

    @scene
    async def test_the_items_of_an_each_are_polled_each_for_itself(self, ground):
        def numbers(order: Order) -> list[int]:
            return [1, 2, 3]

        async def done(item: int, ctx: Context) -> Payment | None:
            bank.asked.append((ctx.step, item, ctx.accepted))
            return Payment(item)

        @step
        async def pay(item: int) -> Payment | Accepted:
            return Accepted(poll=done, every=f"{item}d", token=item * 10)

        saga = Saga("orders", each(numbers, pay), input=Order)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            await days.counted(handle.id, "ActionAccepted", 3)
            await days.killed()
            for count in (1, 2, 3):
                await days.pass_by()
                await days.polled(count)
            assert await days.now.handle(handle.id).result() == [Payment(1), Payment(2), Payment(3)]
        assert bank.asked == [(f"pay[{n - 1}]", n, n * 10) for n in (1, 2, 3)]


class TestWhatIsRefused:
    @scene
    async def test_a_poll_that_a_restart_would_not_find_is_as_good_as_a_lost_answer(self, ground):
        hidden = {}

        def hide() -> Any:
            async def inner(ctx: Context) -> bool: ...

            return inner

        hidden["poll"] = hide()

        @step(retry=ONCE)
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=hidden["poll"])

        undone = []

        @pay.compensation
        async def refund(order: Order, ctx: Context) -> None:
            undone.append(ctx.outcome)

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            with pytest.raises(SagaCompensated, match="AM2005.*name it in the step's function"):
                await (await days.now.start(saga, Order())).result()
        assert undone == ["unknown"]

    @scene
    async def test_a_poll_whose_parameters_fit_nothing_is_told_at_once(self, ground):
        async def asks(ctx: Context, unheard: str) -> Payment: ...

        @step(retry=ONCE)
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=asks)

        @pay.compensation
        async def refund(order: Order) -> None: ...

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            with pytest.raises(SagaCompensated, match='AM2006.*"unheard"'):
                await (await days.now.start(saga, Order())).result()

    @scene
    async def test_a_token_that_is_no_json_is_told_at_once(self, ground):
        @step(retry=ONCE)
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(token=float("nan"))

        @pay.compensation
        async def refund(order: Order) -> None: ...

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            with pytest.raises(SagaCompensated, match="AM2102.*its token"):
                await (await days.now.start(saga, Order())).result()

    @scene
    async def test_a_poll_that_the_code_does_not_name_any_more_waits_visibly_until_it_is_brought_back(self, ground):
        bank.answers = [Payment(1)]

        def version(*, with_poll: bool) -> Saga[Any, Any]:
            async def gone(ctx: Context) -> Payment | None:
                return bank.answer(ctx)

            if with_poll:

                @step
                async def pay(order: Order) -> Payment | Accepted:
                    return Accepted(poll=gone, every="1d")

            else:

                @step
                async def pay(order: Order) -> Payment | Accepted:
                    return Accepted(every="1d")

            return Saga("orders", pay, receipt)

        old, new = version(with_poll=True), version(with_poll=False)
        async with Days(ground, old) as days:
            handle = await days.now.start(old, Order())
            await days.stands(handle.id, "pay", "accepted")
            await days.killed(new)
            await days.pass_by()
            await days.counted(handle.id, "PollPending", 1)
            view = await days.now.get(handle.id)
            assert "AM2005" in view["pay"].error and "bring the function back" in view["pay"].error
            assert not bank.asked
            await days.killed(old)
            await days.pass_by()
            assert await days.now.handle(handle.id).result() == 1

    @scene
    async def test_accepted_as_a_probe_s_answer_is_no_answer(self, ground):
        @step(retry=ONCE)
        async def pay(order: Order) -> Payment:
            raise RuntimeError("no answer")

        @pay.probe(retry=ONCE)
        async def find(order: Order) -> Any:
            return Accepted()

        @pay.compensation
        async def refund(order: Order) -> None: ...

        saga = Saga("orders", pay, receipt)
        async with Days(ground, saga) as days:
            handle = await days.now.start(saga, Order())
            with pytest.raises(SagaCompensated):
                await handle.result()
            assert "ProbeFailed" in await events_of(days.now, handle.id)
