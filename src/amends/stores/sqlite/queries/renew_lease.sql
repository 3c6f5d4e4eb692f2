UPDATE amends_lease SET expires = ?2 WHERE epoch = ?1 AND owner <> ''
