INSERT INTO amends_pruning (saga_ids, now) VALUES (?1, ?2)
