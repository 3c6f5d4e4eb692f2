-- `{conditions}` and `{groups}` are fixed fragments of filter.py; every value is bound.
SELECT {groups}, count(*) FROM amends_summaries WHERE {conditions} GROUP BY {groups} ORDER BY {groups}
