DELETE FROM amends_summaries;
DELETE FROM amends_correlation;
DELETE FROM amends_failed;
UPDATE amends_meta SET value = 0 WHERE name = 'projected';
