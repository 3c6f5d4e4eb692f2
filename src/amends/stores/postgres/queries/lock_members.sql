-- Who joins, leaves or moves shards does so one at a time.
SELECT pg_advisory_xact_lock(1634561892, -1)
