-- What a doctor asks of a server, apart from the tables.
SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
       (SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'),
       current_setting('synchronous_standby_names'), current_setting('max_connections')::integer,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('autovacuum')
