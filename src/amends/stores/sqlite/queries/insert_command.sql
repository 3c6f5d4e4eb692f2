INSERT INTO amends_inbox (saga_id, body, posted) VALUES (?1, ?2, ?3)
