SELECT name, key, saga_id, input_hash FROM amends_keys WHERE name = ?1 AND key = ?2
