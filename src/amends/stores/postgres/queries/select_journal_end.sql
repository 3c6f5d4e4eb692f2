-- The last rows of the journal before a position, newest first.
SELECT position, saga_id, seq, body
FROM amends_shards AS one CROSS JOIN LATERAL (
    SELECT position, saga_id, seq, body FROM amends_journal
    WHERE shard = one.shard AND position < %(before)s
    ORDER BY position DESC LIMIT %(limit)s
) AS last
ORDER BY position DESC LIMIT %(limit)s
