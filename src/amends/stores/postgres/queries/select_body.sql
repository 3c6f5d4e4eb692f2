SELECT body FROM amends_journal WHERE saga_id = %s AND seq = %s
