INSERT INTO amends_waiting (owner, expires) VALUES (%s, %s) ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires
