SELECT id, saga_id, body, done, error FROM amends_inbox WHERE id = %s
