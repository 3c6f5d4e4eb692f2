-- The first schema. Every name begins with `amends_`, so that the tables can live in a database
-- that an application shares with its sagas.

-- The journal: append-only, the only truth. `position` orders all frames for the projection; it is
-- AUTOINCREMENT so that a pruned row's position is never given out again.
CREATE TABLE amends_journal (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    saga_id  TEXT    NOT NULL,
    seq      INTEGER NOT NULL CHECK (seq > 0),
    body     BLOB    NOT NULL,
    UNIQUE (saga_id, seq)
) STRICT;

CREATE TRIGGER amends_journal_has_no_gaps BEFORE INSERT ON amends_journal
WHEN NEW.seq > 1 AND NOT EXISTS (SELECT 1 FROM amends_journal WHERE saga_id = NEW.saga_id AND seq = NEW.seq - 1)
BEGIN
    SELECT raise(ABORT, 'amends: gap');
END;

CREATE TRIGGER amends_journal_is_never_updated BEFORE UPDATE ON amends_journal
BEGIN
    SELECT raise(ABORT, 'amends: the journal is append-only');
END;

-- Only pruning deletes, and it says so in the same transaction.
CREATE TRIGGER amends_journal_is_only_pruned BEFORE DELETE ON amends_journal
WHEN NOT EXISTS (SELECT 1 FROM amends_meta WHERE name = 'pruning')
BEGIN
    SELECT raise(ABORT, 'amends: the journal is append-only');
END;

-- `due` is 0 for a saga that is awake; only sleeping ones are found by it.
CREATE TABLE amends_open (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    saga_id TEXT    NOT NULL UNIQUE,
    due     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX amends_open_due ON amends_open (due, number) WHERE due > 0;
CREATE INDEX amends_open_awake ON amends_open (number) WHERE due = 0;

CREATE TABLE amends_keys (
    name       TEXT NOT NULL,
    key        TEXT NOT NULL,
    saga_id    TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE amends_definitions (
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    fingerprint TEXT    NOT NULL,
    structure   BLOB    NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE amends_inbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    saga_id TEXT    NOT NULL,
    body    BLOB    NOT NULL,
    posted  INTEGER NOT NULL,
    done    INTEGER NOT NULL DEFAULT 0,
    error   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX amends_inbox_waiting ON amends_inbox (id) WHERE done = 0;

-- One row. `batch` is the number of the last batch applied under `epoch`; `owner` '' means given up.
CREATE TABLE amends_lease (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    epoch           INTEGER NOT NULL,
    batch           INTEGER NOT NULL,
    owner           TEXT    NOT NULL,
    host            TEXT    NOT NULL,
    boot_id         TEXT    NOT NULL,
    pid             INTEGER NOT NULL,
    process_started INTEGER NOT NULL,
    expires         INTEGER NOT NULL
) STRICT;
INSERT INTO amends_lease VALUES (1, 0, 0, '', '', '', 0, 0, 0);

-- The projection: equal to the fold of the journal up to `projected`, and rebuilt from it at will.
CREATE TABLE amends_meta (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO amends_meta VALUES ('projected', 0);

CREATE TABLE amends_summaries (
    saga_id         TEXT    PRIMARY KEY,
    name            TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    hold            TEXT    NOT NULL,
    anomalous       INTEGER NOT NULL,
    followup_failed INTEGER NOT NULL,
    body            TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX amends_summaries_status ON amends_summaries (status, saga_id);
CREATE INDEX amends_summaries_name ON amends_summaries (name, saga_id);
CREATE INDEX amends_summaries_key ON amends_summaries (key) WHERE key <> '';
CREATE INDEX amends_summaries_hold ON amends_summaries (hold, saga_id) WHERE hold <> '';

CREATE TABLE amends_correlation (
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    saga_id TEXT NOT NULL,
    PRIMARY KEY (key, value, saga_id)
) STRICT, WITHOUT ROWID;
