UPDATE amends_lease SET owner = '', expires = 0 WHERE epoch = ?1 AND owner <> ''
