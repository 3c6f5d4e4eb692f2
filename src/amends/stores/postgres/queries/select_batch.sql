-- The last batch of a worker; behind the lock that a commit holds, so that none is under way.
SELECT batch FROM amends_workers WHERE epoch = %s FOR UPDATE
