SELECT epoch, expires, owner, host, boot_id, pid, process_started
FROM amends_workers WHERE epoch = (SELECT epoch FROM amends_shards WHERE shard = %s)
