-- The first of these frames that the journal has already.
SELECT asked.saga_id, asked.seq
FROM unnest(%(ids)s::text[], %(seqs)s::integer[]) WITH ORDINALITY AS asked (saga_id, seq, place)
     JOIN amends_journal AS held ON held.saga_id = asked.saga_id AND held.seq = asked.seq
ORDER BY place LIMIT 1
