from dataclasses import dataclass

import httpx2

from amends import Context, Rejected, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(pivot=True)
async def capture(order: Order, bank: httpx2.AsyncClient, ctx: Context) -> None:
    try:
        answer = await bank.post("/captures", json={"total": order.total}, headers=ctx.headers())
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise Rejected("the bank does not answer") from error


sell = Saga("sell", capture, resources=[httpx2.AsyncClient])
