-- The shards that nobody runs; how many workers there are; and how many wait, apart from this one.
SELECT (SELECT coalesce(array_agg(shard ORDER BY shard), '{}') FROM amends_shards WHERE epoch = 0),
       (SELECT count(*) FROM amends_workers),
       (SELECT count(*) FROM amends_waiting WHERE expires > %(now)s AND owner <> %(owner)s)
