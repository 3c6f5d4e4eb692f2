SELECT json_group_array(json_array(number, saga_id, due))
FROM (
    SELECT * FROM (
        SELECT number, saga_id, due FROM amends_open
        WHERE due = 0 AND number > ?1 AND ?2 <= 0 AND ?3 > 0
        ORDER BY number LIMIT ?4
    )
    UNION ALL
    SELECT * FROM (
        SELECT number, saga_id, due FROM amends_open
        WHERE due > 0 AND due >= ?2 AND due < ?3 AND number > ?1
        ORDER BY number LIMIT ?4
    )
    ORDER BY number
    LIMIT ?4
)
