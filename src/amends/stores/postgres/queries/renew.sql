-- A worker's heartbeat, and what it should know of the others: its shards, the free ones, how many workers there are, how
-- many wait, when the first of the others' leases runs out; which of its shards another could run and it cannot, and which
-- need what it has.
WITH renewed AS (UPDATE amends_workers SET expires = %(expires)s WHERE epoch = %(epoch)s RETURNING epoch)
SELECT (SELECT epoch FROM renewed),
       (SELECT coalesce(array_agg(shard), '{}') FROM amends_shards WHERE epoch = %(epoch)s),
       (SELECT count(*) FROM amends_shards WHERE epoch = 0),
       (SELECT count(*) FROM amends_workers),
       (SELECT count(*) FROM amends_waiting WHERE expires > %(now)s),
       (SELECT min(expires) FROM amends_workers WHERE epoch <> %(epoch)s),
       (SELECT coalesce(json_agg(json_build_array(epoch, owner, host, boot_id, pid, process_started)), '[]')
        FROM amends_workers WHERE epoch <> %(epoch)s),
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       (SELECT coalesce(array_agg(shard), '{}') FROM amends_shards
        WHERE epoch = %(epoch)s AND NOT needs <@ %(definitions)s::text[]
          AND EXISTS (SELECT FROM amends_workers WHERE epoch <> %(epoch)s AND definitions @> amends_shards.needs)),
       (SELECT coalesce(array_agg(shard), '{}') FROM amends_shards
        WHERE epoch = %(epoch)s AND needs <> '{}' AND needs <@ %(definitions)s::text[])
