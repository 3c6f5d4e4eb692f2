# expect: all or nothing SG016
"""A refund that failed is taken for done."""

import logging

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step

log = logging.getLogger(__name__)


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    try:
        await bank.refund(ctx.action_key)
    except ConnectionError:
        log.exception("could not refund")


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
