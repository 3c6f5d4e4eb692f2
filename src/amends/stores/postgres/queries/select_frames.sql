SELECT saga_id, seq, body FROM amends_journal WHERE saga_id = ANY (%s::text[]) ORDER BY saga_id, seq
