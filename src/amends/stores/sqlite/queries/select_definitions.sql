SELECT name, version, fingerprint, structure FROM amends_definitions ORDER BY name, version
