INSERT INTO main.amends_open (saga_id) VALUES (?1)
