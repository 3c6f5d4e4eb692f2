SELECT id FROM amends_inbox WHERE id = ANY (%s::bigint[]) AND NOT done
