"""It waits for a person, and then until the next hour."""

from dataclasses import dataclass

from participants import Bank, Courier, Order, Receipt, ship

from amends import Context, Saga, sleep, step, wait_for
from amends.testing import Case


@step
async def pay(order: Order, bank: Bank, ctx: Context) -> Receipt:
    return await bank.charge(ctx.idempotency_key)


@pay.compensation
async def refund(bank: Bank, ctx: Context) -> None:
    await bank.refund(ctx.action_key)


@dataclass
class Approval:
    by: str


sell = Saga(
    "sell", pay, wait_for("approval", Approval, timeout="24h"), sleep("1h"), ship,
    input=Order, resources=[Bank, Courier], deadline="48h",
)  # fmt: skip
case = Case(Order("o-1"), resources=[Bank, Courier], signals={"approval": Approval("ada")})
