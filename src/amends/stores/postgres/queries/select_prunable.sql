-- Ended sagas that are not open, those that ended first; `{conditions}` are fixed fragments of filter.py.
SELECT saga_id FROM amends_summaries AS told
WHERE ended > 0 AND {conditions} AND NOT EXISTS (SELECT FROM amends_open WHERE amends_open.saga_id = told.saga_id)
ORDER BY ended, saga_id
LIMIT %s
