"""An order as it comes in, and the results that the saga's steps hand on. Money is in cents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

# Wide enough for every honest and every absurd order, and within what SQLite's integers hold.
Whole = Annotated[int, Meta(ge=-(10**12), le=10**12)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # stands in URLs and in start keys
Text = Annotated[str, Meta(max_length=200)]


@dataclass
class Item:
    sku: Text
    quantity: Whole
    price_cents: Whole


@dataclass
class Order:
    order_id: Name
    customer: Text
    email: Text
    district: Text
    card: Text
    items: list[Item]
    total_cents: Whole


@dataclass
class Payment:
    payment_id: str
    amount_cents: int


@dataclass
class Capture:
    captured_cents: int


@dataclass
class Booking:
    booking_id: str
    slot: str


@dataclass
class Shipment:
    shipment_id: str


@dataclass
class Approval:
    approved: bool
    by: str
