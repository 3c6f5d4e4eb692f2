-- Which of the asked start keys [[name, key, saga_id, input_hash], ...] are another saga's: {saga_id: holder}.
SELECT json_group_object(asked.value ->> 2, held.saga_id)
FROM json_each(?1) AS asked JOIN amends_keys AS held
     ON held.name = asked.value ->> 0 AND held.key = asked.value ->> 1
WHERE held.saga_id <> asked.value ->> 2
