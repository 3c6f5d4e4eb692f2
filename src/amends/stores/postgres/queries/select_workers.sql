SELECT epoch, expires, owner, host, boot_id, pid, process_started FROM amends_workers ORDER BY epoch
