-- `{conditions}` are fixed fragments of filter.py; every value is bound.
SELECT json_group_array(json(body))
FROM (SELECT body FROM amends_summaries WHERE {conditions} ORDER BY saga_id DESC LIMIT ?)
