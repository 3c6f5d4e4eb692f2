-- Frames behind the marks, the first of each shard.
SELECT first.shard, first.position, saga_id, seq, body
FROM amends_marks AS mark CROSS JOIN LATERAL (
    SELECT shard, position, saga_id, seq, body FROM amends_journal
    WHERE amends_journal.shard = mark.shard AND amends_journal.position > mark.position
    ORDER BY position LIMIT %(each)s
) AS first
WHERE mark.shard = ANY (%(shards)s::smallint[])
ORDER BY first.position LIMIT %(limit)s
