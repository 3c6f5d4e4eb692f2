"""The doubles of this corpus, and what its sagas have in common: the input, a pivot that ends most of them, the cases.

A participant here is what the author's function calls. Those with a `Recorder` are good participants: one effect per
key, an undo that comes first keeps the action out. `Shelf` and `Till` are plain ones, that do what they are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amends import Context, step
from amends.testing import Case, Recorder


@dataclass
class Order:
    id: str
    total: int = 30
    skus: list[str] = field(default_factory=lambda: ["pen", "ink"])


@dataclass
class Receipt:
    id: str


class Bank:
    """Charges, and pays back by the key of the charge."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    async def charge(self, key: str) -> Receipt:
        return await self.recorder.apply(key, Receipt("r-1"))

    async def refund(self, key: str) -> None:
        await self.recorder.undo(key)

    async def find(self, key: str) -> Receipt | None:
        effect = self.recorder.effects.get(key)
        return effect.result if effect is not None and effect.stands else None


class Courier:
    """Takes parcels, and cancels them by the key."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    async def book(self, key: str) -> str:
        return await self.recorder.apply(key, "label")

    async def cancel(self, key: str) -> None:
        await self.recorder.undo(key)


class Notes:
    """A table that steps write to: by key, and what it held before is gone."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    async def put(self, key: str, value: str) -> None:
        self.rows[key] = value

    async def get(self, key: str) -> str | None:
        return self.rows.get(key)

    async def drop(self, key: str) -> None:
        self.rows.pop(key, None)


class Shelf:
    """Counts, and does what it is told, as often as it is told."""

    def __init__(self) -> None:
        self.free = 10

    async def take(self, count: int) -> None:
        self.free -= count

    async def give(self, count: int) -> None:
        self.free += count

    async def look(self) -> int:
        return self.free

    async def set(self, free: int) -> None:
        self.free = free


class Till(Shelf):
    """The same, called without waiting."""

    def move(self, amount: int) -> None:
        self.free += amount


@step(pivot=True)
async def ship(order: Order, courier: Courier, ctx: Context) -> str:
    return await courier.book(ctx.idempotency_key)


def recorded() -> Case:
    """A case that is judged by what the doubles recorded."""
    return Case(Order("o-1"), resources=[Bank, Courier, Notes, Shelf])


def counted() -> Case:
    """A case that is judged by how many are on the shelf."""
    case = Case(Order("o-1"), resources=[Bank, Courier, Notes, Shelf])

    @case.state
    def on_the_shelf(shelf: Shelf) -> int:
        return shelf.free

    return case
