-- The last one to register says what is redacted. Another structure is refused, and the transaction taken back.
INSERT INTO amends_definitions (name, version, fingerprint, structure, redactions) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET redactions = excluded.redactions
WHERE redactions <> excluded.redactions
