-- How many sagas select_prunable has without a limit; `{conditions}` are fixed fragments of filter.py.
SELECT count(*) FROM amends_summaries AS told
WHERE ended > 0 AND {conditions} AND NOT EXISTS (SELECT 1 FROM amends_open WHERE amends_open.saga_id = told.saga_id)
