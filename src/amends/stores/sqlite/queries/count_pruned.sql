-- How many of the asked sagas are gone.
SELECT count(*) FROM json_each(?1) AS asked JOIN amends_pruned AS gone ON gone.saga_id = asked.value
