-- The last one to register says what is redacted, and what of the structure is tuning. Another fingerprint is
-- refused, and the transaction taken back.
INSERT INTO amends_definitions (name, version, fingerprint, structure, redactions) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET redactions = excluded.redactions, structure = excluded.structure
WHERE fingerprint = excluded.fingerprint AND (redactions <> excluded.redactions OR structure <> excluded.structure)
