SELECT amends_prune_1(%s::text[], %s)
