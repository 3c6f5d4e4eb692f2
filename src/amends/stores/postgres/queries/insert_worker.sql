INSERT INTO amends_workers (epoch, expires, owner, host, boot_id, pid, process_started)
VALUES (%s, %s, %s, %s, %s, %s, %s)
