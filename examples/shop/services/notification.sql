-- The outbox of mails. What is sent is sent: this table is its own append-only ledger.

CREATE TABLE IF NOT EXISTS opened (changed INTEGER NOT NULL);  -- one row; how often a version had changed

CREATE TABLE IF NOT EXISTS mails (
    mail_id  INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('confirmation', 'apology')),
    email    TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS mails_keep BEFORE UPDATE ON mails BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER IF NOT EXISTS mails_stay BEFORE DELETE ON mails BEGIN SELECT RAISE(ABORT, 'append-only'); END;
