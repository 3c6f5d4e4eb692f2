SELECT body FROM amends_summaries WHERE saga_id = ANY (%s::text[])
