-- What waits: frames behind the marks, at least; commands; the oldest of them; shards without a worker; who waits for one.
SELECT (SELECT count(*) FROM amends_marks AS mark CROSS JOIN LATERAL (
            SELECT 1 FROM amends_journal AS j WHERE j.shard = mark.shard AND j.position > mark.position LIMIT 1000
        ) AS behind),
       (SELECT count(*) FROM amends_inbox WHERE NOT done),
       (SELECT coalesce(min(posted), 0) FROM amends_inbox WHERE NOT done),
       (SELECT count(*) FROM amends_shards WHERE epoch = 0),
       (SELECT count(*) FROM amends_waiting)
