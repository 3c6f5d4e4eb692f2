from dataclasses import dataclass

import httpx2

from amends import Context, NotSent, Rejected, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(pivot=True)
async def capture(order: Order, bank: httpx2.AsyncClient, ctx: Context) -> None:
    try:
        answer = await bank.post("/captures", json={"total": order.total}, headers=ctx.headers())
    except httpx2.ConnectError as error:  # nothing left this machine
        raise NotSent("no connection") from error
    if answer.status_code == 409:  # the bank said no
        raise Rejected(answer.text)
    answer.raise_for_status()  # anything else: unknown


sell = Saga("sell", capture, resources=[httpx2.AsyncClient])
