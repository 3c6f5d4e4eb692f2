-- The last one to register says what is redacted, and what of the structure is tuning.
INSERT INTO amends_definitions (name, version, fingerprint, structure, redactions)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (name, version) DO UPDATE SET redactions = excluded.redactions, structure = excluded.structure
WHERE amends_definitions.fingerprint = excluded.fingerprint
  AND (amends_definitions.redactions <> excluded.redactions OR amends_definitions.structure <> excluded.structure)
