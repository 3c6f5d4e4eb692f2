"""The store on PostgreSQL: many workers, each running the sagas of some shards.

Rules of this package: `psycopg` is imported here and nowhere else; SQL stands in named files, and what one
transaction does as a function of the database; every batch is one round trip.
"""

from .store import PostgresStore

__all__ = ["PostgresStore"]
