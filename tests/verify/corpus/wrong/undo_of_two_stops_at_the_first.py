# expect: all or nothing SG016
"""When the first of two undos fails, the second is left out, and nobody hears."""

import logging

from participants import Bank, Courier, Order, Receipt, recorded, ship

from amends import Context, Saga, step

log = logging.getLogger(__name__)


@step
async def pay(order: Order, bank: Bank, courier: Courier, ctx: Context) -> Receipt:
    await courier.book(f"{ctx.saga_id}/pay/parcel")
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def undo(bank: Bank, courier: Courier, ctx: Context) -> None:
    try:
        await bank.refund(ctx.action_key)
        await courier.cancel(f"{ctx.saga_id}/pay/parcel")
    except ConnectionError:
        log.exception("could not undo")


sell = Saga("sell", pay, ship, input=Order, resources=[Bank, Courier])
case = recorded()
