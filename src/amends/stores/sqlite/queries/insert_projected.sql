INSERT INTO amends_projected (position_before, position_after, rows, bodies, correlation, failed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
