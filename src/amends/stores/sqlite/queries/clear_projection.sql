DELETE FROM amends_summaries;
DELETE FROM amends_correlation;
UPDATE amends_meta SET value = 0 WHERE name = 'projected';
