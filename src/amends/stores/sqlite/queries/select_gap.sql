-- The first of the frames [[saga_id, seq, ...], ...] without one before it, in the journal or among them.
SELECT asked.value ->> 0, asked.value ->> 1
FROM json_each(?1) AS asked
WHERE asked.value ->> 1 > 1
  AND NOT EXISTS (
      SELECT 1 FROM amends_journal WHERE saga_id = asked.value ->> 0 AND seq = (asked.value ->> 1) - 1
  )
  AND NOT EXISTS (
      SELECT 1 FROM json_each(?1) AS other
      WHERE other.key < asked.key AND other.value ->> 0 = asked.value ->> 0
        AND other.value ->> 1 = (asked.value ->> 1) - 1
  )
LIMIT 1
