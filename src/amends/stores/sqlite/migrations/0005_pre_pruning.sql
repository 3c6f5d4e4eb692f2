-- What is left of a saga whose journal was pruned: that it was there, and how it ended. `key` is its start
-- key, '' for none; the key's own row stays as long as this one, so that a start under it is still told apart.
CREATE TABLE amends_pruned (
    saga_id TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    status  TEXT    NOT NULL,
    ended   INTEGER NOT NULL,
    pruned  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX amends_pruned_since ON amends_pruned (pruned);

-- A frame that comes late, for a saga whose journal is gone, has nothing to continue: it is left out, and
-- the batch around it lands. Asked only where there would be a gap, so an ordinary frame pays nothing for it.
DROP TRIGGER amends_journal_has_no_gaps;
CREATE TRIGGER amends_journal_has_no_gaps BEFORE INSERT ON amends_journal
WHEN NEW.seq > 1 AND NOT EXISTS (SELECT 1 FROM amends_journal WHERE saga_id = NEW.saga_id AND seq = NEW.seq - 1)
BEGIN
    SELECT CASE WHEN EXISTS (SELECT 1 FROM amends_pruned WHERE saga_id = NEW.saga_id)
                THEN raise(IGNORE)
                ELSE raise(ABORT, 'amends: gap') END;
END;
