INSERT INTO amends_batch (epoch, number, rows, bodies, opened, keys, closed, due, answered)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
