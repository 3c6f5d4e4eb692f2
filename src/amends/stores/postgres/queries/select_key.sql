SELECT name, key, saga_id, input_hash FROM amends_keys WHERE name = %s AND key = %s
