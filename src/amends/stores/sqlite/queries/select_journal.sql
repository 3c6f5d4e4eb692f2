-- A page of the journal after a position, as one row: [[position, saga_id, seq, length], ...] and all bodies.
SELECT json_group_array(json_array(position, saga_id, seq, length(body))),
       CAST(group_concat(CAST(body AS TEXT), '') AS BLOB)
FROM (SELECT position, saga_id, seq, body FROM amends_journal WHERE position > ?1 ORDER BY position LIMIT ?2)
