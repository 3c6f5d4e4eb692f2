WITH removed AS (DELETE FROM amends_workers WHERE epoch = %(epoch)s RETURNING epoch),
     freed AS (UPDATE amends_shards SET epoch = 0 WHERE epoch IN (SELECT epoch FROM removed))
SELECT count(*) FROM removed
