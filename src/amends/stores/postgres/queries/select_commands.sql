SELECT id, saga_id, body FROM amends_inbox WHERE NOT done AND shard = ANY (%s::smallint[]) ORDER BY id LIMIT %s
