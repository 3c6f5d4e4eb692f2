"""Files of orders, one JSON object a line: drawn from a seed, and read with suspicion.

    python -m examples.shop.orders > examples/shop/orders.jsonl     draws the file that ships with the shop

Reading never stops at a bad line: it is reported with its number and left out. A line that repeats an
order word for word is the same order; one that gives a known id to another order is a conflict.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from .catalogue import ARTICLES, CONTESTED, CUSTOMERS, DISTRICTS
from .model import Item, Order

SHIPPED = Path(__file__).with_name("orders.jsonl")
LINE_BYTES_MAX = 65_536


@dataclass
class Read:
    """What a file held.

    Attributes:
        orders: in the file's order, each once.
        malformed: (line number from 1, what is wrong with it).
        repeated: numbers of lines that repeat an order.
        conflicting: (line number, the id that is another order's).
    """

    orders: list[Order] = field(default_factory=list)
    malformed: list[tuple[int, str]] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    conflicting: list[tuple[int, str]] = field(default_factory=list)


def read_orders(lines: Iterable[bytes]) -> Read:
    """Read JSON Lines; empty lines are passed over, they still count for the numbers."""
    read = Read()
    known: dict[str, Order] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > LINE_BYTES_MAX:
            read.malformed.append((number, f"the line has {len(line)} bytes; the limit is {LINE_BYTES_MAX}"))
            continue
        try:
            order = msgspec.json.decode(line, type=Order)
        except (ValueError, RecursionError) as error:  # msgspec's and Unicode's errors are ValueErrors
            read.malformed.append((number, str(error)))
            continue
        before = known.setdefault(order.order_id, order)
        if before is order:
            read.orders.append(order)
        elif before == order:
            read.repeated.append(number)
        else:
            read.conflicting.append((number, order.order_id))
    return read


def read_file(path: str) -> Read:
    """Read a file of orders, `-` for standard input.

    Raises:
        OSError: the file cannot be read.
    """
    if path == "-":
        return read_orders(sys.stdin.buffer)
    with Path(path).open("rb") as lines:
        return read_orders(lines)


def write_orders(orders: Iterable[Order], stream: IO[bytes]) -> None:
    for order in orders:
        stream.write(msgspec.json.encode(order) + b"\n")


def draw_orders(count: int, seed: int = 1) -> Iterator[Order]:
    """Orders as a shop gets them: most are fine, many want the same few articles, some are hopeless."""
    draw = random.Random(seed)
    for number in range(1, count + 1):
        wanted = draw.sample(CONTESTED, 1) if draw.random() < 0.35 else []
        wanted += draw.sample(ARTICLES[len(CONTESTED) :], draw.choice((1, 1, 2, 3)) - (1 if wanted else 0))
        items = [Item(article.sku, draw.choice((1, 1, 1, 2, 3)), article.price_cents) for article in wanted]
        if draw.random() < 0.06:  # a big one, over the approval limit
            items.append(Item(ARTICLES[-1].sku, draw.randint(4, 6), ARTICLES[-1].price_cents))
        customer = draw.choice(list(CUSTOMERS))
        order = Order(
            order_id=f"o{number:04}",
            customer=customer,
            email=f"{customer}@example.org",
            district=draw.choice(DISTRICTS),
            card="valid",
            items=items,
            total_cents=sum(item.quantity * item.price_cents for item in items),
        )
        _spoil(order, draw.random())
        yield order


def _spoil(order: Order, chance: float) -> None:
    """A few orders are wrong in one way each: what the services refuse, and what validation does."""
    if chance < 0.04:
        order.card = "blocked" if chance < 0.02 else "expired"
    elif chance < 0.05:
        order.customer = "nobody"
    elif chance < 0.06:
        order.items[0].sku = "A999"
    elif chance < 0.07:
        order.total_cents += 1
    elif chance < 0.08:
        order.items[0].quantity = 0
    elif chance < 0.09:
        order.items = []
    elif chance < 0.10:
        order.email = "no address"


if __name__ == "__main__":
    write_orders(draw_orders(1_000), sys.stdout.buffer)
