-- The counts of stores/figures.py, as three arrays: of sagas that ended in the window, of open ones, and of steps
-- that failed. `{conditions}` are fixed fragments of filter.py; every value is bound, the window's beginning first.
-- INDEXED BY, for without statistics the planner takes 1,000,000 look-ups for cheaper than one scan in order.
SELECT (SELECT json_group_array(json_array(name, version, found, started, completed, compensated, closed, by_hand))
        FROM (
            SELECT name, version, count(*) AS found, sum(started >= ?1) AS started,
                   sum(status = 'completed') AS completed, sum(status = 'compensated') AS compensated,
                   sum(status = 'closed') AS closed, sum(manual + intervened > 0) AS by_hand
            FROM amends_summaries INDEXED BY amends_summaries_figures
            WHERE ended > 0 AND +ended >= ?1 AND {conditions}
            GROUP BY name, version
        )),
       (SELECT json_group_array(json_array(name, version, in_flight, started, standing))
        FROM (
            SELECT name, version, count(*) AS in_flight, sum(started >= ?1) AS started,
                   sum(status = 'requires_manual' AND waiting >= ?1) AS standing
            FROM amends_summaries
            WHERE status IN ('scheduled', 'running', 'compensating', 'requires_manual') AND {conditions}
            GROUP BY name, version
        )),
       (SELECT json_group_array(json_array(name, version, failed_step, found))
        FROM (
            SELECT name, version, failed_step, count(*) AS found
            FROM (SELECT step AS failed_step, saga_id AS failed_id FROM amends_failed)
            CROSS JOIN amends_summaries ON saga_id = failed_id
            WHERE ((ended > 0 AND ended >= ?1) OR (status = 'requires_manual' AND waiting >= ?1)) AND {conditions}
            GROUP BY name, version, failed_step
        ))
