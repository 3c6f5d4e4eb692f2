-- What became of sagas that ended in the window, with their lengths at 50, 95 and 99 of a hundred, nearest rank.
SELECT name, version, count(*), sum((started >= %s)::integer), sum((status = 'completed')::integer),
       sum((status = 'compensated')::integer), sum((status = 'closed')::integer), sum((manual + intervened > 0)::integer),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ended - started)
FROM amends_summaries
WHERE ended > 0 AND ended >= %s AND {conditions}
GROUP BY name, version
