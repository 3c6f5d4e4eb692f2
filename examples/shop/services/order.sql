-- Orders, as they were placed. The state says whether the order stands.

CREATE TABLE IF NOT EXISTS opened (changed INTEGER NOT NULL);  -- one row; how often a version had changed

CREATE TABLE IF NOT EXISTS orders (
    row_id      INTEGER PRIMARY KEY,
    order_id    TEXT    NOT NULL,
    customer    TEXT    NOT NULL,
    items       TEXT    NOT NULL,  -- JSON: [{"sku", "quantity", "price_cents"}]
    total_cents INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('created', 'cancelled'))
);
CREATE INDEX IF NOT EXISTS orders_by_order ON orders (order_id);

CREATE TABLE IF NOT EXISTS ledger (
    entry    INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN ('create', 'cancel')),
    order_id TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS ledger_keeps BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
