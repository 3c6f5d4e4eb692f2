-- The last rows of the journal before a position, oldest first, as one row like that of select_journal.
SELECT json_group_array(json_array(position, saga_id, seq, length(body))),
       CAST(group_concat(CAST(body AS TEXT), '') AS BLOB)
FROM (
    SELECT position, saga_id, seq, body
    FROM (
        SELECT position, saga_id, seq, body FROM amends_journal WHERE position < ?1 ORDER BY position DESC LIMIT ?2
    )
    ORDER BY position
)
