-- One INSERT into `amends_projected` writes folded summaries and moves the high-water mark with them,
-- but only from where they were folded: a process that was overtaken by another changes nothing.
--   rows         JSON [[saga_id, shape, name, version, key, started, status, step, hold, waiting, updated,
--                ended, deadline, paused, turned_back, anomalous, followup_failed, manual, intervened,
--                offset in bodies from 1, length], ...]
--   bodies       the summaries, JSON each, one after the other
--   correlation  JSON [[key, value, saga_id], ...]; failed JSON [[step, saga_id], ...]
-- A saga that was pruned while it was being folded (beside a rebuild) gets no line any more.
-- What a start says once and for all is left out of the update, so that its indexes are not touched.
CREATE TEMP VIEW amends_projected AS
SELECT 0 AS position_before, 0 AS position_after, '' AS rows, x'' AS bodies, '' AS correlation, '' AS failed;

CREATE TEMP TRIGGER amends_apply_projection INSTEAD OF INSERT ON amends_projected
BEGIN
    SELECT raise(ABORT, 'amends: projected before')
    WHERE NOT EXISTS (SELECT 1 FROM amends_meta WHERE name = 'projected' AND value = NEW.position_before);
    UPDATE amends_meta SET value = NEW.position_after WHERE name = 'projected';
    INSERT INTO amends_summaries (
        saga_id, shape, name, version, key, started, status, step, hold, waiting, updated, ended,
        deadline, paused, turned_back, anomalous, followup_failed, manual, intervened, body
    )
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14,
           value ->> 15, value ->> 16, value ->> 17, value ->> 18,
           CAST(substr(NEW.bodies, value ->> 19, value ->> 20) AS TEXT)
    FROM json_each(NEW.rows) WHERE value ->> 0 NOT IN (SELECT saga_id FROM amends_pruned)
    ON CONFLICT (saga_id) DO UPDATE SET
        status = excluded.status, step = excluded.step, hold = excluded.hold, waiting = excluded.waiting,
        updated = excluded.updated, ended = excluded.ended, deadline = excluded.deadline, paused = excluded.paused,
        turned_back = excluded.turned_back, anomalous = excluded.anomalous,
        followup_failed = excluded.followup_failed, manual = excluded.manual, intervened = excluded.intervened,
        body = excluded.body;
    INSERT INTO amends_correlation (key, value, saga_id)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(NEW.correlation)
    WHERE value ->> 2 NOT IN (SELECT saga_id FROM amends_pruned)
    ON CONFLICT DO NOTHING;
    INSERT INTO amends_failed (step, saga_id)
    SELECT value ->> 0, value ->> 1 FROM json_each(NEW.failed)
    WHERE value ->> 1 NOT IN (SELECT saga_id FROM amends_pruned)
    ON CONFLICT DO NOTHING;
END;
