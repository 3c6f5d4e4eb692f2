-- Courier slots and shipments. A booking takes one place in a slot until it is cancelled.
--
--   booked      the courier will come          used         a shipment travels with it
--   dispatched  the courier has left: too late to cancel
--   cancelled   the place is free again        written_off  a person gave the place up

CREATE TABLE IF NOT EXISTS opened (changed INTEGER NOT NULL);  -- one row; how often a version had changed

CREATE TABLE IF NOT EXISTS slots (
    slot     TEXT PRIMARY KEY,
    district TEXT    NOT NULL,
    capacity INTEGER NOT NULL,
    taken    INTEGER NOT NULL DEFAULT 0 CHECK (taken BETWEEN 0 AND capacity)
);

CREATE TABLE IF NOT EXISTS bookings (
    booking_id TEXT PRIMARY KEY,
    order_id   TEXT NOT NULL,
    slot       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('booked', 'dispatched', 'used', 'cancelled', 'written_off'))
);
CREATE INDEX IF NOT EXISTS bookings_by_order ON bookings (order_id);

CREATE TABLE IF NOT EXISTS shipments (
    shipment_id TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL,
    booking_id  TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS ledger (
    entry    INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN ('book', 'cancel', 'dispatch', 'recall', 'ship', 'write_off')),
    order_id TEXT NOT NULL,
    slot     TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS ledger_keeps BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
