DELETE FROM amends_waiting WHERE owner = %s OR expires <= %s
