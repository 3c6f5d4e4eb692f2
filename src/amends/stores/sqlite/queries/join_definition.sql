INSERT INTO main.amends_definitions (name, version, fingerprint, structure) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO NOTHING
