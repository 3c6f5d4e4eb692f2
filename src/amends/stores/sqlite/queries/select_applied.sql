-- The number of the last batch applied under this epoch; no row when the lease is another's.
SELECT batch FROM amends_lease WHERE epoch = ?1 AND owner <> ''
