SELECT json_group_array(json_array(id, saga_id, hex(body)))
FROM (SELECT id, saga_id, body FROM amends_inbox WHERE done = 0 ORDER BY id LIMIT ?1)
