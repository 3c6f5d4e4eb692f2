-- A page of the open set, by number.
SELECT number, saga_id, due FROM amends_open
WHERE shard = ANY (%(shards)s::smallint[]) AND due >= %(due_from)s AND due < %(due_before)s AND number > %(after)s
ORDER BY number LIMIT %(limit)s
