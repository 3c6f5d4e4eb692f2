-- Workers whose lease is over lose it, and their shards. The rows are locked first: a commit that is under way is over by
-- then, and one that comes later finds no row. Who has renewed meanwhile keeps it, unless it is proven gone.
WITH over AS MATERIALIZED (
    SELECT epoch, expires FROM amends_workers WHERE epoch = ANY (%(epochs)s::bigint[]) ORDER BY epoch FOR UPDATE
), removed AS (
    DELETE FROM amends_workers
    WHERE epoch IN (SELECT epoch FROM over WHERE expires <= %(now)s OR epoch = ANY (%(gone)s::bigint[]))
    RETURNING epoch
)
UPDATE amends_shards SET epoch = 0 WHERE epoch IN (SELECT epoch FROM removed)
