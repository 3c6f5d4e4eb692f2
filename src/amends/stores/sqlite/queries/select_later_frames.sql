-- Of each asked saga {saga_id: seq} the frames behind that seq, as one row: index and bodies, as select_frames has them.
SELECT json_group_array(json_array(saga_id, seq, length(body))),
       CAST(group_concat(CAST(body AS TEXT), '') AS BLOB)
FROM (
    SELECT held.saga_id, held.seq, held.body
    FROM json_each(?1) AS asked CROSS JOIN amends_journal AS held
         ON held.saga_id = asked.key AND held.seq > asked.value
    ORDER BY held.saga_id, held.seq
)
