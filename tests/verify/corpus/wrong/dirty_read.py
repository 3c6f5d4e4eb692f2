# expect: bonus_is_for_what_was_sold SG018
"""What another saga has not made final yet is counted."""

from participants import Notes, Order, recorded

from amends import Context, Saga, step


@step
async def announce(order: Order, notes: Notes, ctx: Context) -> None:
    await notes.put(f"sold/{ctx.saga_id}", "1")


@announce.compensation
async def take_back(order: Order, notes: Notes, ctx: Context) -> None:
    await notes.drop(f"sold/{ctx.saga_id}")


@step(read_only=True)
async def count(order: Order, notes: Notes) -> int:
    return sum(key.startswith("sold/") for key in notes.rows)


@step(pivot=True)
async def pay_bonus(order: Order, count: int, notes: Notes, ctx: Context) -> None:
    await notes.put(f"bonus/{ctx.saga_id}", str(count))


sell = Saga("sell", announce, count, pay_bonus, input=Order, resources=[Notes])
case = recorded()


@case.invariant
def bonus_is_for_what_was_sold(notes: Notes) -> None:
    sold = sum(key.startswith("sold/") for key in notes.rows)
    bonus = [int(value) for key, value in notes.rows.items() if key.startswith("bonus/")]
    assert max(bonus, default=0) <= sold
