"""A process that takes orders and starts a saga for each in the transaction of the order's row; to be killed.

    python -m tests.processes.ordering FILE [--orders 2] [--stop inserted|started|committed]

It never runs a saga. With `--stop` it says the word at that point of its first order, and waits.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections import Counter
from dataclasses import dataclass

from amends import Saga, start_in_transaction, step


@dataclass
class Order:
    number: int


fulfil: Counter[str] = Counter()  # how often each order was fulfilled, in the process that runs the sagas


@step
async def fulfil_order(order: Order) -> None:
    fulfil[str(order.number)] += 1


accept = Saga("accept", fulfil_order)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--orders", type=int, default=2)
    parser.add_argument("--stop", default="")
    given = parser.parse_args()

    def reached(moment: str) -> None:
        if moment == given.stop:
            sys.stdout.write(moment + "\n")
            sys.stdout.flush()
            sys.stdin.readline()

    db = sqlite3.connect(given.path, isolation_level=None)
    for number in range(given.orders):
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO orders VALUES (?)", (number,))
        reached("inserted")
        start_in_transaction(db, accept, Order(number), key=str(number))
        reached("started")
        db.execute("COMMIT")
        reached("committed")
    db.close()


if __name__ == "__main__":
    main()
