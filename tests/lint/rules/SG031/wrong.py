from dataclasses import dataclass

from amends import Context, Orchestrator, Saga, step


@dataclass
class Order:
    order_id: str
    total: int


@step(pivot=True)
async def capture(order: Order, ctx: Context) -> None: ...


ship = Saga("ship", capture.named("deliver"))


@step
async def start_shipping(order: Order, orchestrator: Orchestrator, ctx: Context) -> None:
    await orchestrator.start(ship, order, key=ctx.idempotency_key)


sell = Saga("sell", start_shipping, capture, resources=[Orchestrator])
