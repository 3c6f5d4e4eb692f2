-- The shards that nobody runs and this worker may, those that need it first; how many of them do; how many workers there
-- are; how many wait, apart from this one. A shard that needs what this worker lacks is left to one that has it.
WITH free AS (
    SELECT shard, needs <> '{}' AND needs <@ %(definitions)s::text[] AS needed
    FROM amends_shards
    WHERE epoch = 0 AND (
        needs <@ %(definitions)s::text[]
        OR NOT EXISTS (SELECT FROM amends_workers WHERE definitions @> amends_shards.needs)
    )
)
SELECT (SELECT coalesce(array_agg(shard ORDER BY needed DESC, shard), '{}') FROM free),
       (SELECT count(*) FROM free WHERE needed),
       (SELECT count(*) FROM amends_workers),
       (SELECT count(*) FROM amends_waiting WHERE expires > %(now)s AND owner <> %(owner)s)
