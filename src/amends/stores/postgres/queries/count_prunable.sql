SELECT count(*) FROM amends_summaries AS told
WHERE ended > 0 AND {conditions} AND NOT EXISTS (SELECT FROM amends_open WHERE amends_open.saga_id = told.saga_id)
