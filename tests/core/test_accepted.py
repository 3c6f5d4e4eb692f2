"""`Accepted` when a saga is built, and its polls: what a step gives in the end, and which function is found again."""

from __future__ import annotations

import functools
import math
import types
from typing import Any, Optional, Union

import pytest

from amends.core.accepted import Accepted, name_of, poll_of, without_accepted
from amends.core.annotations import NONE
from amends.core.calls import Source
from amends.core.context import Context
from amends.core.definition import Saga, step
from amends.errors import UsageError
from tests.core.shop import Client, Order, Payment, makes, refused, shop, takes, wired

module = types.ModuleType("module")


async def arrived(order: Order, ctx: Context) -> Payment | None: ...


async def unnamed(order: Order, ctx: Context) -> Payment | None: ...


async def _of_module(ctx: Context) -> bool: ...


module.of_module = _of_module  # type: ignore[attr-defined]


class Bank:
    async def in_class(ctx: Context) -> bool: ...  # noqa: N805


def call_of(function: Any, **options: Any) -> Any:
    """The wired action of a saga with this function as its one step."""
    return Saga("shop", step(name="pay")(function), **options).bindings[1].action


class TestTheResult:
    @pytest.mark.parametrize(
        ("declared", "given"),
        [
            (Payment | Accepted, Payment),
            (Union[Accepted, Payment], Payment),
            (Payment | None | Accepted, Payment | None),
            (None | Accepted, NONE),
            (Optional[Accepted], NONE),
            (Accepted, Any),
            (Payment, Payment),
            (Any, Any),
            (NONE, NONE),
        ],
        ids=str,
    )
    def test_it_is_what_the_step_gives_in_the_end(self, declared, given):
        assert without_accepted(declared) == given

    def test_it_is_taken_by_name_type_and_the_saga(self):
        pay = makes("pay", Payment | Accepted)
        saga = shop(pay, takes(payment=Payment))
        assert wired(saga, "use") == {"payment": ("RESULT", "pay")}
        assert shop(pay, result=pay).decode_result(b'{"payment_id":"p"}') == Payment("p")
        refused("AM1207", pay, takes(pay=Order))

    def test_a_compensation_may_return_it(self):
        pay = makes("pay", Payment)

        @pay.compensation
        def refund(order: Order, payment: Payment | None) -> Accepted | None: ...

        assert wired(shop(pay), "pay", "compensation")["payment"] == ("OWN_RESULT", "pay")


class TestWhatItIsMadeOf:
    @pytest.mark.parametrize("name", ["every", "until"])
    @pytest.mark.parametrize("length", [0, -1, "soon", "0s", math.nan, True, None], ids=repr)
    def test_a_length_is_above_zero(self, name, length):
        with pytest.raises(UsageError, match=rf"AM2001.*Accepted\({name}="):
            Accepted(**{name: length})

    def test_the_time_to_ask_is_not_over_before_the_first_question(self):
        with pytest.raises(UsageError, match="AM2001.*never be asked"):
            Accepted(every="1d", until="23h")
        with pytest.raises(UsageError, match="AM2001.*never be asked"):
            Accepted(every="31d")
        with pytest.raises(UsageError, match="AM2001"):
            Accepted(every="1d", until="24h")
        assert Accepted(every="1d", until="25h").until == "25h"

    @pytest.mark.parametrize("poll", [3, "arrived", len, makes("pay"), functools.partial(arrived)], ids=repr)
    def test_its_poll_is_a_plain_function(self, poll):
        with pytest.raises(UsageError, match="AM2005.*give a plain function"):
            Accepted(poll=poll)

    def test_it_takes_keywords_only(self):
        with pytest.raises(TypeError):
            Accepted(arrived)  # type: ignore[misc]


class TestThePollIsFoundAgain:
    def test_a_global_a_local_a_class_s_and_a_module_s(self):
        async def local(ctx: Context) -> bool: ...

        async def pay(order: Order, ctx: Context) -> Payment | Accepted:
            if order:
                return Accepted(poll=local)
            if ctx:
                return Accepted(poll=module.of_module)
            return [Accepted(poll=arrived) for _ in "x"] and Accepted(poll=Bank.in_class)  # also from a comprehension

        call = call_of(pay)
        for function in (arrived, local, _of_module, Bank.in_class):
            name = name_of(call, function)
            assert name == f"{function.__module__}:{function.__qualname__}"
            assert poll_of(call, name).function is function

    def test_behind_a_partial_a_decorator_and_a_method(self):
        def decorated(function):
            @functools.wraps(function)
            async def outer(order: Order) -> Any:
                return await function(order)

            return outer

        @decorated
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived)

        async def rated(rate: int, order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived)

        class Till:
            async def pay(self, order: Order) -> Payment | Accepted:
                return Accepted(poll=arrived)

        for function in (pay, functools.partial(rated, 3), Till().pay):
            call = call_of(function)
            assert poll_of(call, name_of(call, arrived)).function is arrived

    def test_one_that_its_code_does_not_name_is_refused_when_it_is_accepted(self):
        async def pay(order: Order) -> Payment | Accepted: ...

        def made() -> Any:
            async def inner(ctx: Context) -> bool: ...

            return inner

        for hidden in (arrived, made()):
            with pytest.raises(UsageError, match='AM2005.*saga "shop", step "pay", action.*name it in the step'):
                name_of(call_of(pay), hidden)

    def test_one_that_is_not_named_any_more_is_refused_when_it_is_due(self):
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived)

        with pytest.raises(UsageError, match="AM2005.*polled by shop:gone.*bring the function back, or resolve"):
            poll_of(call_of(pay), "shop:gone")

    def test_a_stored_name_imports_nothing_and_calls_nothing(self):
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=arrived)

        for name in ("os:system", "builtins:eval", f"{__name__}:unnamed", f"{__name__}:Bank.in_class", "", ":"):
            with pytest.raises(UsageError, match="AM2005"):
                poll_of(call_of(pay), name)

    def test_a_callable_object_is_polled_by_what_its_call_names(self):
        class Till:
            async def __call__(self, order: Order) -> Payment | Accepted:
                return Accepted(poll=arrived)

        call = call_of(Till())
        assert poll_of(call, name_of(call, arrived)).function is arrived

    def test_a_name_that_is_bound_later_is_passed_over(self):
        async def pay(order: Order) -> Payment | Accepted:
            return Accepted(poll=later) if order else Accepted(poll=arrived)

        call = call_of(pay)
        assert poll_of(call, name_of(call, arrived)).function is arrived

        async def later(ctx: Context) -> bool: ...

        assert poll_of(call, name_of(call, later)).function is later


class TestThePollIsWired:
    def wired(self, poll: Any) -> dict[str, Source]:
        async def pay(order: Order, ctx: Context, client: Client) -> Payment | Accepted:
            return Accepted(poll=poll)

        call = call_of(pay, resources=[Client])
        return {each.name: each.source for each in poll_of(call, name_of(call, poll)).wired}

    def test_it_takes_the_context_and_what_the_step_takes_by_name_or_type(self):
        async def asks(ctx: Context, order, client: Client): ...

        async def renamed(c: Context, it: Order): ...

        async def defaults(tries: int = 3): ...

        assert self.wired(asks) == {"ctx": Source.CONTEXT, "order": Source.INPUT, "client": Source.RESOURCE}
        assert self.wired(renamed) == {"c": Source.CONTEXT, "it": Source.INPUT}
        assert self.wired(defaults) == {}

    def test_what_the_step_does_not_take_it_cannot_have(self):
        async def asks(ctx: Context, label: str): ...

        with pytest.raises(UsageError, match='AM2006.*its poll asks: nothing fits its parameter "label".*order, ctx'):
            self.wired(asks)
