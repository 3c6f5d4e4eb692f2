"""With a receipt by it, without one by the key."""

from participants import Bank, Courier, Notes, Order, Receipt, recorded, ship

from amends import Context, Saga, step


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(receipt: Receipt | None, bank: Bank, notes: Notes, ctx: Context) -> None:
    await notes.put(f"refund/{order_of(ctx)}", receipt.id if receipt else "by key")
    await bank.refund(ctx.action_key)


def order_of(ctx: Context) -> str:
    return ctx.saga_id


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier, Notes])
case = recorded()
