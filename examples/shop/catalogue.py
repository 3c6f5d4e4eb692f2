"""The world the shop opens with: what is in stock, in the customers' accounts, and on the road.

The services open with it, the orders are drawn from it, and the audit holds the books against it.
It is computed, not stored, so that nothing in a database can change it.
"""

from __future__ import annotations

from dataclasses import dataclass

APPROVAL_LIMIT_CENTS = 40_000


@dataclass(frozen=True, slots=True)
class Article:
    sku: str
    price_cents: int
    stock: int


# Ten articles of which there are far fewer than will be ordered, and thirty that last.
ARTICLES = tuple(
    Article(f"A{number:03}", 500 + 275 * number, 12 + 2 * number if number < 10 else 400) for number in range(40)
)
CONTESTED = ARTICLES[:10]

# Customer -> opening balance in cents. Those of c180 and later soon run out of money.
CUSTOMERS = {f"c{number:03}": 500_000 if number < 180 else 30_000 for number in range(200)}

DISTRICTS = tuple(f"d{number:02}" for number in range(20))

# Courier slot -> (district, capacity). The last district has too few.
SLOTS = {
    f"{district}-{window}": (district, 4 if district == DISTRICTS[-1] else 30)
    for district in DISTRICTS
    for window in ("morning", "noon", "evening")
}
