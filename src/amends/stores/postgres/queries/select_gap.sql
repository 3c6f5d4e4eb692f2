-- The first of these frames without one before it, in the journal or among them.
SELECT asked.saga_id, asked.seq
FROM unnest(%(ids)s::text[], %(seqs)s::integer[]) WITH ORDINALITY AS asked (saga_id, seq, place)
WHERE seq > 1
  AND NOT EXISTS (SELECT FROM amends_journal AS held WHERE held.saga_id = asked.saga_id AND held.seq = asked.seq - 1)
  AND NOT EXISTS (
      SELECT FROM unnest(%(ids)s::text[], %(seqs)s::integer[]) WITH ORDINALITY AS other (saga_id, seq, place)
      WHERE other.place < asked.place AND other.saga_id = asked.saga_id AND other.seq = asked.seq - 1
  )
ORDER BY place LIMIT 1
