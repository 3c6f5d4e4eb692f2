SELECT fingerprint FROM amends_definitions WHERE name = %s AND version = %s
