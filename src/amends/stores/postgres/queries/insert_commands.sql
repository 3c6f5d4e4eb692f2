INSERT INTO amends_inbox (saga_id, shard, body, posted)
SELECT saga_id, shard, body, posted
FROM unnest(%b::text[], %b::smallint[], %b::bytea[], %b::bigint[]) WITH ORDINALITY AS asked (saga_id, shard, body, posted, place)
ORDER BY place
RETURNING id
