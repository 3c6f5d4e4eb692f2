"""The SQLite store: WAL, a full fsync per batch, one writer thread, readers apart."""

from .store import SQLiteStore

__all__ = ["SQLiteStore"]
