-- The traces themselves, of the same sagas as delete_old_keys.sql.
DELETE FROM amends_pruned WHERE saga_id IN (
    SELECT saga_id FROM amends_pruned WHERE pruned < %s ORDER BY pruned, saga_id LIMIT %s
)
