-- Of each asked saga the frames behind its seq.
SELECT held.saga_id, held.seq, held.body
FROM unnest(%s::text[], %s::integer[]) AS asked (saga_id, seq)
     JOIN amends_journal AS held ON held.saga_id = asked.saga_id AND held.seq > asked.seq
ORDER BY held.saga_id, held.seq
