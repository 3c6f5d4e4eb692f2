-- The barrier's table. It stands in the participant's own database, beside the business tables, for
-- its rows must be committed or rolled back together with the business writes.
--
--   state    applied   the business writes of this call are committed with this row
--            refused   a business "no": nothing was written, and nothing ever will be under this key
--            void      the call never ran, and this row keeps it from ever running
--   reason   the operation whose call inserted the row; differs from op only in void rows
--   status, body       the stored answer: a duplicate gets exactly this one

CREATE TABLE IF NOT EXISTS amends_barrier (
    saga_id    TEXT    NOT NULL,
    step       TEXT    NOT NULL,
    op         TEXT    NOT NULL CHECK (op IN ('action', 'compensation')),
    name       TEXT    NOT NULL DEFAULT '',
    reason     TEXT    NOT NULL CHECK (reason IN ('action', 'compensation', 'probe')),
    state      TEXT    NOT NULL CHECK (state IN ('applied', 'refused', 'void')),
    status     INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,  -- milliseconds since the epoch
    PRIMARY KEY (saga_id, step, op, name)
) WITHOUT ROWID;
