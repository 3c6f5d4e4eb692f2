-- Whole journals as one row: an index [[saga_id, seq, length], ...] and all bodies one after the other.
SELECT json_group_array(json_array(saga_id, seq, length(body))),
       CAST(group_concat(CAST(body AS TEXT), '') AS BLOB)
FROM (
    SELECT saga_id, seq, body
    FROM amends_journal
    WHERE saga_id IN (SELECT value FROM json_each(?1))
    ORDER BY saga_id, seq
)
