SELECT coalesce(array_agg(shard ORDER BY shard), '{}') FROM amends_shards WHERE epoch = %s
