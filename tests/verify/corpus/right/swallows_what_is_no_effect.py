"""A mail in the compensation may fail, and the refund may not."""

import logging

from participants import Bank, Courier, Notes, Order, Receipt, recorded, ship

from amends import Context, Saga, step

log = logging.getLogger(__name__)


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, notes: Notes, ctx: Context) -> None:
    await bank.refund(ctx.action_key)
    try:
        await notes.put("told", "refunded")
    except ConnectionError:
        log.warning("nobody was told")


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier, Notes])
case = recorded()
