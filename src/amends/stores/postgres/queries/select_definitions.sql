SELECT name, version, fingerprint, structure, redactions FROM amends_definitions ORDER BY name, version
