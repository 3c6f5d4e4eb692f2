-- What sagas of a shard need, and its worker lacks.
UPDATE amends_shards SET needs = (SELECT array_agg(DISTINCT need ORDER BY need) FROM unnest(needs || %s::text[]) AS need)
WHERE shard = %s AND NOT needs @> %s::text[]
