INSERT INTO amends_projected (position_before, position_after, rows) VALUES (?1, ?2, ?3)
