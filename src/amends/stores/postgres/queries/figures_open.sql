SELECT name, version, count(*), sum((started >= %s)::integer),
       sum((status = 'requires_manual' AND waiting >= %s)::integer)
FROM amends_summaries
WHERE status IN ('scheduled', 'running', 'compensating', 'requires_manual') AND {conditions}
GROUP BY name, version
