"""A trip is a flight, a hotel and a car: all three, or none."""

import asyncio
from dataclasses import dataclass

from amends import Context, Orchestrator, Rejected, Retry, Saga, SagaCompensated, step


@dataclass
class Trip:
    traveller: str
    city: str
    nights: int


@dataclass
class Flight:
    seat: str


@dataclass
class Hotel:
    room: int


@dataclass
class Car:
    plate: str


@step(timeout=5, retry=Retry(attempts=4))
async def book_flight(trip: Trip, ctx: Context) -> Flight:
    # Send ctx.headers() with the request: the key in them is the same in every attempt.
    print(f"  flight to {trip.city} booked under {ctx.idempotency_key}")
    return Flight(seat="12A")


@book_flight.compensation
async def cancel_flight(flight: Flight | None, ctx: Context) -> None:
    # None means that the booking's answer never came: it may exist, so cancel by its key.
    print(f"  flight cancelled: {flight.seat if flight else ctx.action_key}")


@step
async def book_hotel(trip: Trip) -> Hotel:
    print(f"  hotel booked for {trip.nights} nights")
    return Hotel(room=404)


@book_hotel.compensation
async def cancel_hotel(hotel: Hotel | None, ctx: Context) -> None:
    print(f"  hotel cancelled: {hotel.room if hotel else ctx.action_key}")


@step
async def book_car(trip: Trip, flight: Flight, hotel: Hotel) -> Car:
    if trip.city == "Venice":
        raise Rejected("no cars in Venice")  # a business "no": nothing happened, nothing to undo
    print(f"  car booked; it waits for seat {flight.seat} and drives to room {hotel.room}")
    return Car(plate="AM-12-03")


@book_car.compensation
async def cancel_car(car: Car | None, ctx: Context) -> None:
    print(f"  car cancelled: {car.plate if car else ctx.action_key}")


book_trip = Saga("book_trip", book_flight, book_hotel, book_car, version=1, deadline="1h", result=book_car)


async def main() -> None:
    async with Orchestrator("sqlite:///trip.db", sagas=[book_trip]) as orchestrator:
        for trip in (Trip("ada", "Lisbon", nights=3), Trip("bob", "Venice", nights=2)):
            print(f"{trip.traveller} to {trip.city}")
            saga = await orchestrator.start(book_trip, trip, key=f"{trip.traveller}-{trip.city}")
            try:
                print(f"  booked, with car {(await saga.result()).plate}")
            except SagaCompensated as end:
                print(f"  not booked, and nothing left behind: {end.cause}")


if __name__ == "__main__":
    asyncio.run(main())
