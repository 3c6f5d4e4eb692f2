-- Start keys of sagas that were pruned before a time, those of the ones pruned first.
DELETE FROM amends_keys AS held
USING (SELECT name, key, saga_id FROM amends_pruned WHERE pruned < %s ORDER BY pruned, saga_id LIMIT %s) AS gone
WHERE held.name = gone.name AND held.key = gone.key AND held.saga_id = gone.saga_id
