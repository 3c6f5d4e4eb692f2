DELETE FROM amends_inbox WHERE id IN (SELECT id FROM amends_inbox WHERE done AND posted < %s ORDER BY id LIMIT %s)
