SELECT saga_id, name, key, status, ended, pruned FROM amends_pruned WHERE saga_id = %s
