-- Sagas that were started by others than their shard's worker, and are awake.
SELECT number, saga_id, due FROM amends_open
WHERE shard = ANY (%(shards)s::smallint[]) AND due = 0 AND number > %(after)s AND outside
ORDER BY number LIMIT %(limit)s
