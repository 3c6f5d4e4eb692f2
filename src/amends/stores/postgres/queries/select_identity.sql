SELECT value FROM amends_meta WHERE name = 'store'
