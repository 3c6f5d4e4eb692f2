-- Frames after the high-water mark as one row, with the summaries they go on from: index, bodies, mark.
WITH next AS MATERIALIZED (
    SELECT position, saga_id, seq, body
    FROM amends_journal
    WHERE position > (SELECT value FROM amends_meta WHERE name = 'projected')
    ORDER BY position
    LIMIT ?1
)
SELECT (SELECT value FROM amends_meta WHERE name = 'projected'),
       coalesce((SELECT max(position) FROM next), 0),
       (SELECT json_group_array(json_array(saga_id, seq, length(body))) FROM next),
       (SELECT CAST(group_concat(CAST(body AS TEXT), '') AS BLOB) FROM next),
       (SELECT json_group_array(json(body)) FROM amends_summaries WHERE saga_id IN (SELECT saga_id FROM next))
