-- A worker's heartbeat, and what it should know of the others: its shards, the free ones, how many workers there are, how
-- many wait, and when the first of the others' leases runs out.
WITH renewed AS (UPDATE amends_workers SET expires = %(expires)s WHERE epoch = %(epoch)s RETURNING epoch)
SELECT (SELECT epoch FROM renewed),
       (SELECT coalesce(array_agg(shard), '{}') FROM amends_shards WHERE epoch = %(epoch)s),
       (SELECT count(*) FROM amends_shards WHERE epoch = 0),
       (SELECT count(*) FROM amends_workers),
       (SELECT count(*) FROM amends_waiting WHERE expires > %(now)s),
       (SELECT min(expires) FROM amends_workers WHERE epoch <> %(epoch)s),
       (SELECT coalesce(json_agg(json_build_array(epoch, owner, host, boot_id, pid, process_started)), '[]')
        FROM amends_workers WHERE epoch <> %(epoch)s),
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint
