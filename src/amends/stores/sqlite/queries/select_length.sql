-- The length at a rank, from the longest; `{conditions}` as in select_figures.
SELECT ended - started
FROM amends_summaries INDEXED BY amends_summaries_figures
WHERE ended > 0 AND +ended >= ? AND name = ? AND version = ? AND {conditions}
ORDER BY ended - started DESC
LIMIT 1 OFFSET ?
