-- One INSERT into `amends_pruning` removes some sagas, one transaction with one fsync; and one call, as
-- in apply_batch.sql. Only a saga that is not open, and whose summary holds its whole journal, is removed: then
-- nobody has anything left to write for it, and no step of the projection is under way.
--   saga_ids  JSON [saga_id, ...]; now is the time of pruning, which marks the rows of this very call
CREATE TEMP VIEW amends_pruning AS SELECT '' AS saga_ids, 0 AS now;

CREATE TEMP TRIGGER amends_apply_pruning INSTEAD OF INSERT ON amends_pruning
BEGIN
    INSERT INTO amends_pruned (saga_id, name, key, status, ended, pruned)
    SELECT told.saga_id, told.name, told.key, told.status, told.ended, NEW.now
    FROM json_each(NEW.saga_ids) AS asked JOIN amends_summaries AS told ON told.saga_id = asked.value
    WHERE told.ended > 0
      AND NOT EXISTS (SELECT 1 FROM amends_open WHERE saga_id = told.saga_id)
      AND told.body ->> 'seq' = (SELECT max(seq) FROM amends_journal WHERE saga_id = told.saga_id)
    ON CONFLICT DO NOTHING;

    DELETE FROM amends_correlation WHERE (key, value, saga_id) IN (
        SELECT pair.key, pair.value, told.saga_id
        FROM json_each(NEW.saga_ids) AS asked JOIN amends_pruned AS gone ON gone.saga_id = asked.value
             JOIN amends_summaries AS told ON told.saga_id = asked.value, json_each(told.body -> 'correlation') AS pair
    );
    DELETE FROM amends_failed WHERE (step, saga_id) IN (
        SELECT failed.value, told.saga_id
        FROM json_each(NEW.saga_ids) AS asked JOIN amends_pruned AS gone ON gone.saga_id = asked.value
             JOIN amends_summaries AS told ON told.saga_id = asked.value, json_each(told.body -> 'failed') AS failed
    );
    DELETE FROM amends_summaries WHERE saga_id IN (
        SELECT gone.saga_id FROM json_each(NEW.saga_ids) AS asked JOIN amends_pruned AS gone ON gone.saga_id = asked.value
    );
    INSERT INTO amends_meta (name, value) VALUES ('pruning', 1);
    DELETE FROM amends_journal WHERE saga_id IN (
        SELECT gone.saga_id FROM json_each(NEW.saga_ids) AS asked JOIN amends_pruned AS gone ON gone.saga_id = asked.value
    );
    DELETE FROM amends_meta WHERE name = 'pruning';
END;
