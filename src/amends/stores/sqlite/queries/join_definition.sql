INSERT INTO main.amends_definitions (name, version, fingerprint, structure, redactions) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO NOTHING
