-- How far the projection has come in each shard, and how far the shard's journal goes.
SELECT shard, position, (SELECT max(position) FROM amends_journal WHERE amends_journal.shard = amends_marks.shard)
FROM amends_marks WHERE shard = ANY (%s::smallint[])
