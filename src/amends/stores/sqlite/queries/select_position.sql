SELECT coalesce(max(position), 0) FROM amends_journal
