INSERT INTO main.amends_journal (saga_id, seq, body) VALUES (?1, ?2, ?3)
