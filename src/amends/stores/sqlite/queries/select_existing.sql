-- The first of the frames [[saga_id, seq, ...], ...] that the journal has already.
SELECT asked.value ->> 0, asked.value ->> 1
FROM json_each(?1) AS asked JOIN amends_journal AS held
     ON held.saga_id = asked.value ->> 0 AND held.seq = asked.value ->> 1
LIMIT 1
