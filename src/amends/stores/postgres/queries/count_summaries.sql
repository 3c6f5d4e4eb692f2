SELECT count(*) FROM amends_summaries WHERE {conditions}
