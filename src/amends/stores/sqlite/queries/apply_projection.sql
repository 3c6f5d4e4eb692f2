-- One INSERT into `amends_projected` writes folded summaries and moves the high-water mark with them,
-- but only from where they were folded: a process that was overtaken by another changes nothing.
--   rows   JSON [[saga_id, name, status, key, hold, anomalous, followup_failed, summary, correlation], ...]
CREATE TEMP VIEW amends_projected AS SELECT 0 AS position_before, 0 AS position_after, '' AS rows;

CREATE TEMP TRIGGER amends_apply_projection INSTEAD OF INSERT ON amends_projected
BEGIN
    SELECT raise(ABORT, 'amends: projected before')
    WHERE NOT EXISTS (SELECT 1 FROM amends_meta WHERE name = 'projected' AND value = NEW.position_before);
    UPDATE amends_meta SET value = NEW.position_after WHERE name = 'projected';
    REPLACE INTO amends_summaries (saga_id, name, status, key, hold, anomalous, followup_failed, body)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value -> 7
    FROM json_each(NEW.rows);
    INSERT INTO amends_correlation (key, value, saga_id)
    SELECT pair.key, pair.value, saga.value ->> 0
    FROM json_each(NEW.rows) AS saga, json_each(saga.value -> 8) AS pair WHERE true
    ON CONFLICT DO NOTHING;
END;
