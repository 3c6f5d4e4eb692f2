-- Whether a worker is there, and its shards.
SELECT EXISTS (SELECT FROM amends_workers WHERE epoch = %(epoch)s),
       (SELECT coalesce(array_agg(shard ORDER BY shard), '{}') FROM amends_shards WHERE epoch = %(epoch)s)
