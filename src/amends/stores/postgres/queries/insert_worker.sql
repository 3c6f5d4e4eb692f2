INSERT INTO amends_workers (epoch, expires, owner, host, boot_id, pid, process_started, definitions)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::text[])
