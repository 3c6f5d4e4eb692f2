-- A page of the journal after a position, as far as it is settled: the first rows of each shard, merged.
SELECT position, saga_id, seq, body
FROM amends_shards AS one CROSS JOIN LATERAL (
    SELECT position, saga_id, seq, body FROM amends_journal
    WHERE shard = one.shard AND position > %(after)s AND position < %(settled)s
    ORDER BY position LIMIT %(limit)s
) AS first
ORDER BY position LIMIT %(limit)s
