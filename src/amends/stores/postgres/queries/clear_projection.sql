WITH told AS (DELETE FROM amends_summaries), labels AS (DELETE FROM amends_correlation), failed AS (DELETE FROM amends_failed)
UPDATE amends_marks SET position = 0
