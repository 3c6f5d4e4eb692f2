-- Shards of a worker that gives them up. Its row is locked, as by a commit of its own, so that nothing of it is under way.
WITH worker AS MATERIALIZED (SELECT epoch FROM amends_workers WHERE epoch = %(epoch)s FOR NO KEY UPDATE)
UPDATE amends_shards SET epoch = 0
WHERE epoch IN (SELECT epoch FROM worker) AND shard = ANY (%(shards)s::smallint[])
