-- `{conditions}` and `{groups}` are fixed fragments of filter.py; every value is bound.
SELECT json_group_array(json_array(json_array({groups}), found))
FROM (SELECT {groups}, count(*) AS found FROM amends_summaries WHERE {conditions} GROUP BY {groups} ORDER BY {groups})
