SELECT json_group_array(id) FROM amends_inbox WHERE id IN (SELECT value FROM json_each(?1)) AND done = 0
