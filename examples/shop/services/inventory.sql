-- Stock. `version` grows with every change of an article's row; whoever writes says which one was read.

CREATE TABLE IF NOT EXISTS opened (changed INTEGER NOT NULL);  -- one row; how often a version had changed

CREATE TABLE IF NOT EXISTS articles (
    sku      TEXT PRIMARY KEY,
    on_hand  INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND on_hand),
    version  INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE IF NOT EXISTS reservations (
    reservation_id INTEGER PRIMARY KEY,
    order_id       TEXT    NOT NULL,
    sku            TEXT    NOT NULL,
    quantity       INTEGER NOT NULL CHECK (quantity > 0),
    state          TEXT    NOT NULL CHECK (state IN ('held', 'released'))
);
CREATE INDEX IF NOT EXISTS reservations_by_order ON reservations (order_id);

CREATE TABLE IF NOT EXISTS ledger (
    entry    INTEGER PRIMARY KEY,
    kind     TEXT    NOT NULL CHECK (kind IN ('receive', 'reserve', 'release')),
    order_id TEXT    NOT NULL,
    sku      TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0)
);
CREATE TRIGGER IF NOT EXISTS ledger_keeps BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append-only'); END;
