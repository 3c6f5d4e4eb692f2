SELECT epoch, expires, owner, host, boot_id, pid, process_started FROM amends_lease WHERE one = 1
