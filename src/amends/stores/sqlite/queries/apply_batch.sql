-- One INSERT into `amends_batch` is one whole transaction: checks, frames, open set, inbox, fsync.
-- Each call into SQLite waits for the interpreter's lock when it returns, beside a busy event loop for
-- milliseconds, so a commit must be one call (bench/store_layout.py). TEMP: nothing of this is in the file.
--   epoch    0 for a start, which needs no lease
--   rows     JSON [[saga_id, seq, offset in bodies from 1, length], ...]
--   opened   JSON [saga_id, ...]; keys JSON [[name, key, saga_id, input_hash], ...]
--   closed   JSON [saga_id, ...]; due JSON {saga_id: due}; answered JSON {command id: error}
CREATE TEMP VIEW amends_batch AS
SELECT 0 AS epoch, 0 AS number, '' AS rows, x'' AS bodies, '' AS opened, '' AS keys, '' AS closed, '' AS due,
       '' AS answered;

CREATE TEMP TRIGGER amends_apply_batch INSTEAD OF INSERT ON amends_batch
BEGIN
    SELECT raise(ABORT, 'amends: lease lost')
    WHERE NEW.epoch > 0 AND NOT EXISTS (SELECT 1 FROM amends_lease WHERE epoch = NEW.epoch AND owner <> '');
    SELECT raise(ABORT, 'amends: applied before')
    WHERE NEW.epoch > 0 AND EXISTS (SELECT 1 FROM amends_lease WHERE batch >= NEW.number);
    UPDATE amends_lease SET batch = NEW.number WHERE epoch = NEW.epoch;

    -- A taken key calls `amends_taken(saga_id, holder)`, which runs only for those, and so almost never.
    INSERT INTO amends_keys (name, key, saga_id, input_hash)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(NEW.keys) WHERE true
    ON CONFLICT DO NOTHING;
    SELECT amends_taken(asked.value ->> 2, held.saga_id)
    FROM json_each(NEW.keys) AS asked JOIN amends_keys AS held
         ON held.name = asked.value ->> 0 AND held.key = asked.value ->> 1
    WHERE held.saga_id <> asked.value ->> 2;

    INSERT INTO amends_journal (saga_id, seq, body)
    SELECT value ->> 0, value ->> 1, substr(NEW.bodies, value ->> 2, value ->> 3)
    FROM json_each(NEW.rows)
    WHERE value ->> 0 NOT IN (
        SELECT asked.value ->> 2
        FROM json_each(NEW.keys) AS asked JOIN amends_keys AS held
             ON held.name = asked.value ->> 0 AND held.key = asked.value ->> 1
        WHERE held.saga_id <> asked.value ->> 2
    );
    INSERT INTO amends_open (saga_id)
    SELECT value
    FROM json_each(NEW.opened)
    WHERE value NOT IN (
        SELECT asked.value ->> 2
        FROM json_each(NEW.keys) AS asked JOIN amends_keys AS held
             ON held.name = asked.value ->> 0 AND held.key = asked.value ->> 1
        WHERE held.saga_id <> asked.value ->> 2
    );
    UPDATE amends_open SET due = sleeping.value FROM json_each(NEW.due) AS sleeping
    WHERE amends_open.saga_id = sleeping.key AND amends_open.due <> sleeping.value;
    DELETE FROM amends_open WHERE saga_id IN (SELECT value FROM json_each(NEW.closed));
    UPDATE amends_inbox SET done = 1, error = answer.value FROM json_each(NEW.answered) AS answer
    WHERE amends_inbox.id = CAST(answer.key AS INTEGER);
END;
