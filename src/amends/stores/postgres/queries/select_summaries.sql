-- `{conditions}` are fixed fragments of filter.py; every value is bound.
SELECT body FROM amends_summaries WHERE {conditions} ORDER BY saga_id DESC LIMIT %s
