INSERT INTO main.amends_keys (name, key, saga_id, input_hash) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING
