"""A saga with human approval: an expense is paid at once, or when somebody signs, or not at all.

    reserve budget → above the limit: wait for "approval" → check it → pay (the pivot) → tell the employee

A person is the slowest participant there is, and one who may say no, or nothing. While the saga waits it holds no task
and no memory; it would wait through any number of restarts. Four claims show the four ways it can go:

  * **ann** asks for little: nobody is asked.
  * **bob** asks for much and is approved, by a signal from the command line: another process, the same store.
  * **cy** is denied: a refusal is a signal too, and a read-only step turns it into `Rejected`.
  * **di** is in a hurry and hears nothing: the wait's timeout turns the saga back.

The two definitions differ in their patience only, so a function makes both of the same steps.

    python examples/approval.py              # leaves approval.db where it runs
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from amends import (
    Context,
    Handle,
    Orchestrator,
    Rejected,
    Saga,
    SagaCompensated,
    SagaStatus,
    choose,
    step,
    wait_for,
    when,
)  # fmt: skip

LIMIT_CENTS = 500_00
BUDGET_CENTS = 10_000_00
STORE = "sqlite:///approval.db"
BOOKS = Path("approval.json")  # the finance department's own books

# --- finance -------------------------------------------------------------------------------------


class Finance:
    """Holds and payments by key, in a file of its own."""

    def __init__(self) -> None:
        told = json.loads(BOOKS.read_text(encoding="utf-8")) if BOOKS.exists() else {}
        self.held: dict[str, int] = told.get("held", {})
        self.paid: dict[str, int] = told.get("paid", {})

    def free(self) -> int:
        return BUDGET_CENTS - sum(self.held.values()) - sum(self.paid.values())

    def hold(self, key: str, cents: int) -> None:
        if key not in self.held and self.free() < cents:
            raise Rejected("the budget is used up")
        self.held[key] = cents
        self._keep()

    def release(self, key: str) -> None:
        self.held.pop(key, None)  # nothing held is as good as released
        self._keep()

    def pay(self, hold: str, key: str) -> None:
        if key not in self.paid:
            self.paid[key] = self.held.pop(hold)
            self._keep()

    def _keep(self) -> None:
        BOOKS.write_text(json.dumps({"held": self.held, "paid": self.paid}), encoding="utf-8")


# --- the saga ------------------------------------------------------------------------------------


@dataclass
class Claim:
    employee: str
    cents: int


@dataclass
class Hold:
    key: str


@dataclass
class Approval:
    by: str
    granted: bool
    why: str = ""


def needs_approval(claim: Claim) -> bool:
    return claim.cents > LIMIT_CENTS


@step
async def reserve_budget(claim: Claim, finance: Finance, ctx: Context) -> Hold:
    finance.hold(ctx.idempotency_key, claim.cents)
    return Hold(ctx.idempotency_key)


@reserve_budget.compensation
async def release_budget(finance: Finance, ctx: Context) -> None:
    finance.release(ctx.action_key)


@step(read_only=True)
async def check_approval(approval: Approval) -> None:
    if not approval.granted:
        raise Rejected(f"{approval.by} denied it: {approval.why}")


@step(pivot=True)
async def pay(hold: Hold, finance: Finance, ctx: Context) -> None:
    finance.pay(hold.key, ctx.idempotency_key)


@step(retriable=True)
async def tell_employee(claim: Claim, approval: Approval | None) -> str:
    return f"{claim.cents / 100:.2f} paid, {f'signed by {approval.by}' if approval else 'no signature needed'}"


def expense_saga(name: str, patience: str) -> Saga[Claim, str]:
    return Saga(
        name,
        reserve_budget,
        choose(when(needs_approval, wait_for("approval", Approval, timeout=patience), check_approval), otherwise=()),
        pay,
        tell_employee,
        input=Claim,
        result=tell_employee,
        resources=[Finance],
    )


expense = expense_saga("expense", "3d")
urgent_expense = expense_saga("urgent_expense", "1s")

# --- running it ----------------------------------------------------------------------------------


async def sign_from_the_command_line(saga_id: str, approval: str) -> None:
    """What the approver types, in another process: `amends signal ID approval '{...}'`."""
    amends = Path(sys.executable).with_name("amends")
    typed = ["signal", saga_id, "approval", approval, "--id", "signature-1", "--store", STORE]
    print(f"  $ amends signal <saga id> approval '{approval}'")
    process = await asyncio.create_subprocess_exec(str(amends), *typed, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


async def waits_for_a_signature(saga: Handle[str], orchestrator: Orchestrator) -> bool:
    """Look until the saga stands at its wait; False when it has ended already."""
    while (view := await orchestrator.get(saga.id)).status in {SagaStatus.SCHEDULED, SagaStatus.RUNNING}:
        if view.hold == "signal":
            return True
        await asyncio.sleep(0.01)
    return False


async def main() -> None:
    finance = Finance()
    claims = [Claim("ann", 80_00), Claim("bob", 2_000_00), Claim("cy", 900_00), Claim("di", 700_00)]
    async with Orchestrator(STORE, sagas=[expense, urgent_expense], resources=[finance]) as orchestrator:
        for claim in claims:
            print(f"{claim.employee} claims {claim.cents / 100:.2f}")
            kind = urgent_expense if claim.employee == "di" else expense
            saga = await orchestrator.start(kind, claim, key=f"claim-{claim.employee}")
            if await waits_for_a_signature(saga, orchestrator):
                print(f"  on hold, {finance.held[f'{saga.id}/reserve_budget/action'] / 100:.2f} reserved")
                if claim.employee == "bob":
                    await sign_from_the_command_line(saga.id, '{"by": "the boss", "granted": true}')
                elif claim.employee == "cy":
                    denial = Approval("the boss", granted=False, why="no first class")
                    await orchestrator.signal(saga.id, "approval", denial)
            try:
                print(f"  {await saga.result()}")
            except SagaCompensated as end:
                print(f"  not paid: {end.cause}")
    print(f"budget left: {finance.free() / 100:.2f}, held: {sum(finance.held.values()) / 100:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
