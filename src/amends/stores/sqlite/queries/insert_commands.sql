-- ?1 is JSON [[saga_id, command as text, posted], ...]; the numbers follow one another in its order.
INSERT INTO amends_inbox (saga_id, body, posted)
SELECT value ->> 0, CAST(value ->> 1 AS BLOB), value ->> 2 FROM json_each(?1) ORDER BY key
