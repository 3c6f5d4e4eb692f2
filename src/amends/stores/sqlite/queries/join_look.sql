-- What a start in a caller's transaction must know, in one row: the migrations, the definition's fingerprint,
-- and the start key's row with the first frame of its saga. All of it as blobs without a declared type, for
-- the caller's `text_factory` and `detect_types` leave those alone.
--   ?1 saga name, ?2 version, ?3 key
SELECT (SELECT CAST(json_group_array(json_array(number, kind, name)) AS BLOB) FROM main.amends_migrations)
           AS migrations,
       (SELECT CAST(fingerprint AS BLOB) FROM main.amends_definitions WHERE name = ?1 AND version = ?2)
           AS fingerprint,
       (SELECT CAST(json_array(saga_id, input_hash) AS BLOB) FROM main.amends_keys WHERE name = ?1 AND key = ?3)
           AS held,
       (SELECT CAST(first.body AS BLOB)
        FROM main.amends_keys AS held JOIN main.amends_journal AS first
             ON first.saga_id = held.saga_id AND first.seq = 1
        WHERE held.name = ?1 AND held.key = ?3)
           AS first_frame
