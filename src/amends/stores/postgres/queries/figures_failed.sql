SELECT name, version, failed_step, count(*)
FROM (SELECT step AS failed_step, saga_id AS failed_id FROM amends_failed) AS failed
     JOIN amends_summaries ON saga_id = failed_id
WHERE ((ended > 0 AND ended >= %s) OR (status = 'requires_manual' AND waiting >= %s)) AND {conditions}
GROUP BY name, version, failed_step
