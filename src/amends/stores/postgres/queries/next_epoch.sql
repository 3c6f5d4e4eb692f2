UPDATE amends_meta SET value = value + 1 WHERE name = 'epoch' RETURNING value
