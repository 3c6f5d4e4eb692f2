-- Start keys of sagas that were pruned before ?1, those of the ?2 pruned first.
DELETE FROM amends_keys WHERE (name, key) IN (
    SELECT gone.name, gone.key
    FROM (SELECT name, key, saga_id FROM amends_pruned WHERE pruned < ?1 ORDER BY pruned, saga_id LIMIT ?2) AS gone
         JOIN amends_keys AS held ON held.name = gone.name AND held.key = gone.key AND held.saga_id = gone.saga_id
)
