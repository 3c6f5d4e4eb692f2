-- The last one to register says what is redacted; another structure changes nothing, and is refused.
INSERT INTO amends_definitions (name, version, fingerprint, structure, redactions) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET redactions = excluded.redactions
WHERE fingerprint = excluded.fingerprint AND redactions <> excluded.redactions
