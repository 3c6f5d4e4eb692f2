UPDATE amends_shards SET epoch = %s WHERE shard = ANY (%s::smallint[]) AND epoch = 0
