UPDATE amends_lease
SET epoch = ?1, batch = 0, expires = ?2, owner = ?3, host = ?4, boot_id = ?5, pid = ?6, process_started = ?7
WHERE one = 1
