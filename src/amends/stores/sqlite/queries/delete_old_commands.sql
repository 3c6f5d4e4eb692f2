-- Answered commands that were posted before ?1, the ?2 oldest.
DELETE FROM amends_inbox WHERE id IN (
    SELECT id FROM amends_inbox WHERE done = 1 AND posted < ?1 ORDER BY id LIMIT ?2
)
