"""Whatever the graph, the check comes to an end and says something that makes sense."""

import random
from typing import Any

import pytest

from amends import Saga, call, choose, each, first_of, parallel, sleep, step, wait_for, when
from amends.errors import DefinitionError
from amends.lint import RULES, check

KINDS = [{}, {}, {"read_only": True}, {"best_effort": True}, {"retriable": True}, {"pivot": True}]
NAMES = ["reserve", "charge", "mail", "lock", "release", "look"]


def items(order: str) -> list[str]:
    return [order]


def is_large(order: str) -> bool:
    return len(order) > 5


class Builder:
    """Random nodes; each step has a name of its own."""

    def __init__(self, seed: int) -> None:
        self.die = random.Random(seed)
        self.made = 0

    def step(self) -> Any:
        self.made += 1
        options: dict[str, Any] = dict(self.die.choice(KINDS))
        if not options and self.die.random() < 0.2:
            options["expires"] = "1d"

        @step(name=f"{self.die.choice(NAMES)}_{self.made}", **options)
        async def act(order: str) -> None: ...

        if self.die.random() < 0.5 and not options.get("read_only"):

            @act.compensation
            async def undo(order: str) -> None: ...

        return act

    def nodes(self, depth: int) -> list[Any]:
        return [self.node(depth) for _ in range(self.die.randint(1, 3))]

    def node(self, depth: int) -> Any:
        kind = self.die.randint(0, 9) if depth else 0
        self.made += 1
        match kind:
            case 4:
                return parallel(*self.nodes(depth - 1))
            case 5:
                return choose(when(is_large, *self.nodes(depth - 1)), otherwise=tuple(self.nodes(depth - 1)))
            case 6:
                return each(items, *self.nodes(depth - 1))
            case 7:
                return first_of(*self.nodes(depth - 1))
            case 8:
                late = tuple(self.nodes(depth - 1)) if self.die.random() < 0.5 else "turn_back"
                return wait_for(f"wait_{self.made}", bool, timeout="2d", on_timeout=late)
            case 9:
                inner = Saga(f"inner_{self.made}", *self.nodes(depth - 1), input=str)
                return self.die.choice([sleep("2d"), call(inner)])
            case _:
                return self.step()

    def saga(self) -> Saga[Any, Any]:
        ends = [self.step() for _ in range(self.die.randint(0, 2))]
        return Saga(
            "any",
            *self.nodes(3),
            input=str,
            deadline=self.die.choice([None, "1d"]),
            on_completed=[end for end in ends if not (end.options.pivot or end.options.retriable)],
            on_compensated=[],
        )


def some(count: int) -> list[Saga[Any, Any]]:
    found, seed = [], 0
    while len(found) < count:
        seed += 1
        try:
            found.append(Builder(seed).saga())
        except DefinitionError:
            continue
    return found


@pytest.fixture(scope="module")
def sagas() -> list[Saga[Any, Any]]:
    return some(300)


def test_any_graph_is_checked_to_its_end(sagas: list[Saga[Any, Any]]):
    found = [finding for saga in sagas for finding in check(saga)]
    assert {finding.rule.id for finding in found} >= {"SG002", "SG004", "SG005", "SG033"}
    for finding in found:
        assert finding.rule is RULES[finding.rule.id]
        assert finding.place.file == __file__
        assert finding.what
        assert finding.mend


def test_sagas_checked_together_are_told_as_each_by_itself(sagas: list[Saga[Any, Any]]):
    alone = {(each.rule.id, each.place, each.what) for saga in sagas[:50] for each in check(saga)}
    together = {(each.rule.id, each.place, each.what) for each in check(*sagas[:50])}
    assert {each for each in together if each[0] != "SG019"} == alone
