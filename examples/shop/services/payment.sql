-- Double entry: every movement of money is one ledger row with two accounts, so the balances always
-- sum up to zero. `world` is where the customers' opening balances came from; `held` has what is
-- reserved and not yet captured; `shop` has what was captured.

CREATE TABLE IF NOT EXISTS opened (changed INTEGER NOT NULL);  -- one row; how often a version had changed

CREATE TABLE IF NOT EXISTS accounts (
    account       TEXT PRIMARY KEY,
    balance_cents INTEGER NOT NULL CHECK (balance_cents >= 0 OR account = 'world')
);

CREATE TABLE IF NOT EXISTS payments (
    payment_id     TEXT PRIMARY KEY,
    order_id       TEXT    NOT NULL,
    customer       TEXT    NOT NULL,
    amount_cents   INTEGER NOT NULL CHECK (amount_cents > 0),
    refunded_cents INTEGER NOT NULL DEFAULT 0 CHECK (refunded_cents BETWEEN 0 AND amount_cents),
    state          TEXT    NOT NULL CHECK (state IN ('reserved', 'released', 'captured'))
);
CREATE INDEX IF NOT EXISTS payments_by_order ON payments (order_id);

CREATE TABLE IF NOT EXISTS ledger (
    entry        INTEGER PRIMARY KEY,
    kind         TEXT    NOT NULL CHECK (kind IN ('open', 'reserve', 'release', 'capture', 'refund')),
    order_id     TEXT    NOT NULL,
    payment_id   TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0)
);
CREATE TRIGGER IF NOT EXISTS ledger_keeps BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
