"""The bus tells those who listen, protects the engine from them, and says what it says it says."""

import logging
import re

import pytest

from amends.errors import UsageError
from amends.observe import Bus, Notice, bus as bus_module
from amends.observe.vocabulary import EVENTS


def notice(event: str) -> Notice:
    return Notice(event=event, at=1)


def test_the_catalogue_in_the_docstring_lists_exactly_the_events_that_exist():
    table = re.findall(r"^    ([a-z_]+\.[a-z_]+)(?:  |$)", bus_module.__doc__ or "", re.MULTILINE)
    assert len(table) == len(set(table))
    assert set(table) == EVENTS


def test_a_bus_is_active_exactly_while_somebody_listens():
    bus = Bus()
    assert not bus.active
    first, second = bus.subscribe(print), bus.subscribe(print)
    assert bus.active
    first.close()
    first.close()
    assert bus.active
    second.close()
    assert not bus.active


@pytest.mark.parametrize(
    ("patterns", "heard"),
    [
        ((), ["saga.started", "step.started", "step.parked"]),
        (("step.*",), ["step.started", "step.parked"]),
        (("step.parked",), ["step.parked"]),
        (("saga.started", "step.parked"), ["saga.started", "step.parked"]),
        (("*",), ["saga.started", "step.started", "step.parked"]),
    ],
    ids=str,
)
def test_a_subscriber_hears_what_its_patterns_name_and_nothing_else(patterns: tuple[str, ...], heard: list[str]):
    bus, told = Bus(), []
    bus.subscribe(lambda it: told.append(it.event), *patterns)
    for event in ("saga.started", "step.started", "step.parked"):
        bus.publish(notice(event))
    assert told == heard


@pytest.mark.parametrize("pattern", ["step.suceeded", "steps.*", "step", ""])
def test_a_pattern_that_fits_no_event_is_refused_when_subscribing(pattern: str):
    with pytest.raises(UsageError, match="AM2061"):
        Bus().subscribe(print, pattern)


def test_a_coroutine_function_is_refused_because_nobody_would_await_it():
    async def slow(it: Notice) -> None: ...

    class Slow:
        async def __call__(self, it: Notice) -> None: ...

    for function in (slow, Slow()):
        with pytest.raises(UsageError, match="AM2060"):
            Bus().subscribe(function)


def test_a_subscriber_that_raises_is_logged_once_and_the_others_are_still_told(caplog):
    bus, told = Bus(), []

    def broken(it: Notice) -> None:
        raise RuntimeError("broken subscriber")

    bus.subscribe(broken)
    bus.subscribe(told.append)
    with caplog.at_level(logging.ERROR, logger="amends.observe.bus"):
        for _ in range(3):
            bus.publish(notice("saga.started"))
    assert len(told) == 3
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]


def test_two_subscribers_that_raise_are_logged_once_each(caplog):
    bus = Bus()
    for number in range(2):
        bus.subscribe(lambda it, number=number: [][number])
    with caplog.at_level(logging.ERROR, logger="amends.observe.bus"):
        bus.publish(notice("saga.started"))
        bus.publish(notice("saga.started"))
    assert len(caplog.records) == 2


def test_a_closed_subscription_hears_nothing_more_and_may_close_itself_while_it_is_told():
    bus, told = Bus(), []

    def once(it: Notice) -> None:
        told.append("once")
        subscription.close()

    subscription = bus.subscribe(once)
    bus.subscribe(lambda it: told.append("always"))
    bus.publish(notice("saga.started"))
    bus.publish(notice("saga.started"))
    assert told == ["once", "always", "always"]


def test_one_who_subscribes_late_is_told_although_the_event_was_routed_before():
    bus, told = Bus(), []
    bus.subscribe(lambda it: None)
    bus.publish(notice("saga.started"))
    bus.subscribe(told.append)
    bus.publish(notice("saga.started"))
    assert len(told) == 1
