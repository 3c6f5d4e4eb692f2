-- `{conditions}` are fixed fragments of filter.py; every value is bound.
SELECT count(*) FROM amends_summaries WHERE {conditions}
