SELECT pg_notify('amends_' || left(current_schema(), 50), %s)
