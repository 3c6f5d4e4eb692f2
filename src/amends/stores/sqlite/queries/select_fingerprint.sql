SELECT fingerprint FROM amends_definitions WHERE name = ?1 AND version = ?2
