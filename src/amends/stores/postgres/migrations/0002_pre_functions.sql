-- What one transaction does, as functions: a batch is one round trip, and the server checks what must be
-- checked where it is written. Names end in a number: a release that changes one adds the next, and the one
-- before it stays until no process of the older release is left.
--
-- SQLSTATEs of our own:  AM001 append-only · AM002 lease lost · AM003 gap · AM004 projected before

-- Where this transaction begins in the journal. Readers that go on from a position must miss nothing, and
-- transactions commit in another order than they got their numbers in. So a writer first says which number
-- was the last one given out before its own, as a shared lock that ends with its transaction.
CREATE FUNCTION amends_begin_1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    SELECT last_value INTO before FROM amends_transactions;
    PERFORM pg_advisory_xact_lock_shared(1634561892, (before & 2147483647)::integer);
    RETURN nextval('amends_transactions') << 16;
END $$;
SELECT nextval('amends_transactions');  -- until its first call a sequence's last value is one that is yet to come

-- The position before which every transaction that will ever write is settled. Whoever holds no lock when
-- we look gets a number later than `newest`, which was read before; who holds one, a later one than it says.
-- The rows themselves must be read by a later statement, whose snapshot sees all that was settled here.
CREATE FUNCTION amends_settled_1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest bigint;
    lowest bigint;
BEGIN
    SELECT last_value INTO newest FROM amends_transactions;
    SELECT min(CASE WHEN distance < 1073741824 THEN newest ELSE newest - 2147483648 + distance END) INTO lowest
    FROM (
        SELECT (objid::bigint - newest) & 2147483647 AS distance
        FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 1634561892 AND objsubid = 2 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS writing;
    RETURN (least(newest, lowest) + 1) << 16;
END $$;

-- The starts whose key is written in somebody's own transaction that is still open: {id: "?"}, or NULL. A batch must not
-- wait for that one, which may take an hour; whoever asked for the start asks again.
CREATE FUNCTION amends_open_keys_1(key_names text[], key_values text[], key_ids text[])
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(asked.saga_id, '?')
    FROM unnest(key_names, key_values, key_ids) AS asked (name, key, saga_id)
    WHERE hashtext(asked.name || E'\x1f' || asked.key) IN (
        SELECT (objid::bigint - CASE WHEN objid::bigint > 2147483647 THEN 4294967296 ELSE 0 END)::integer
        FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 1634561893 AND objsubid = 2 AND granted AND pid <> pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
$$;

CREATE FUNCTION amends_taken_1(key_names text[], key_values text[], key_ids text[])
RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(asked.saga_id, held.saga_id)
    FROM unnest(key_names, key_values, key_ids) AS asked (name, key, saga_id)
         JOIN amends_keys AS held ON held.name = asked.name AND held.key = asked.key
    WHERE held.saga_id <> asked.saga_id
$$;

-- Frames, with the sagas that they open. NULL, or the sagas left out because their key is taken: {id: holder}.
CREATE FUNCTION amends_append_1(
    a_ids text[], a_seqs integer[], a_shards smallint[], a_bodies bytea[],
    a_opened text[], a_opened_shards smallint[], a_outside boolean,
    key_names text[], key_values text[], key_ids text[], key_hashes text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
    busy jsonb;
    taken jsonb;
    gap record;
BEGIN
    IF cardinality(key_names) > 0 THEN
        busy := amends_open_keys_1(key_names, key_values, key_ids);
        INSERT INTO amends_keys (name, key, saga_id, input_hash)
        SELECT name, key, saga_id, input_hash
        FROM unnest(key_names, key_values, key_ids, key_hashes) WITH ORDINALITY
             AS asked (name, key, saga_id, input_hash, place)
        WHERE NOT coalesce(busy ? saga_id, false)
        ORDER BY name, key, place
        ON CONFLICT DO NOTHING;
        taken := amends_taken_1(key_names, key_values, key_ids);
        taken := CASE WHEN busy IS NULL THEN taken ELSE busy || coalesce(taken, '{}') END;
    END IF;

    first := amends_begin_1();
    IF taken IS NULL THEN
        INSERT INTO amends_journal (position, seq, shard, saga_id, body)
        SELECT first + place, seq, shard, saga_id, body
        FROM unnest(a_ids, a_seqs, a_shards, a_bodies) WITH ORDINALITY AS asked (saga_id, seq, shard, body, place);
        INSERT INTO amends_open (number, shard, outside, saga_id)
        SELECT first + place, shard, a_outside, saga_id
        FROM unnest(a_opened, a_opened_shards) WITH ORDINALITY AS asked (saga_id, shard, place);
    ELSE
        INSERT INTO amends_journal (position, seq, shard, saga_id, body)
        SELECT first + place, seq, shard, saga_id, body
        FROM unnest(a_ids, a_seqs, a_shards, a_bodies) WITH ORDINALITY AS asked (saga_id, seq, shard, body, place)
        WHERE NOT taken ? saga_id;
        INSERT INTO amends_open (number, shard, outside, saga_id)
        SELECT first + place, shard, a_outside, saga_id
        FROM unnest(a_opened, a_opened_shards) WITH ORDINALITY AS asked (saga_id, shard, place)
        WHERE NOT taken ? saga_id;
    END IF;

    -- A frame continues the one before it. One that comes late for a saga that was pruned has nothing to
    -- continue: it is left out, and the batch around it lands.
    FOR gap IN
        SELECT saga_id, seq
        FROM unnest(a_ids, a_seqs) WITH ORDINALITY AS asked (saga_id, seq, place)
        WHERE seq > 1 AND NOT coalesce(taken ? saga_id, false)
          AND NOT EXISTS (
              SELECT FROM amends_journal AS held
              WHERE held.saga_id = asked.saga_id AND held.seq = asked.seq - 1 AND held.position < first + place
          )
    LOOP
        IF NOT EXISTS (SELECT FROM amends_pruned WHERE saga_id = gap.saga_id) THEN
            RAISE EXCEPTION 'amends: gap' USING ERRCODE = 'AM003';
        END IF;
        PERFORM set_config('amends.writing', 'pruning', true);
        DELETE FROM amends_journal WHERE saga_id = gap.saga_id;
        PERFORM set_config('amends.writing', '', true);
    END LOOP;
    RETURN taken;
END $$;

-- A worker's batch. The UPDATE of its row is the fence: whoever takes its shards locks that row first, so
-- either this commit is over by then, or it finds the row gone. `held` are the shards of the batch.
CREATE FUNCTION amends_commit_1(
    a_epoch bigint, a_number bigint, held smallint[],
    a_ids text[], a_seqs integer[], a_shards smallint[], a_bodies bytea[],
    a_opened text[], a_opened_shards smallint[],
    key_names text[], key_values text[], key_ids text[], key_hashes text[],
    a_closed text[], due_ids text[], due_times bigint[], answered bigint[], answers text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    taken jsonb;
BEGIN
    UPDATE amends_workers SET batch = a_number WHERE epoch = a_epoch AND batch < a_number;
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM amends_workers WHERE epoch = a_epoch) THEN
            RAISE EXCEPTION 'amends: lease lost' USING ERRCODE = 'AM002';
        END IF;
        -- Applied before, and its answer was lost: what it left out is not there.
        taken := amends_taken_1(key_names, key_values, key_ids);
        RETURN (
            SELECT jsonb_object_agg(saga_id, coalesce(taken ->> saga_id, '?'))
            FROM unnest(key_ids) AS asked (saga_id)
            WHERE NOT EXISTS (SELECT FROM amends_journal WHERE saga_id = asked.saga_id AND seq = 1)
        );
    END IF;
    PERFORM amends_check_shards_1(a_epoch, held);
    IF cardinality(a_ids) > 0 OR cardinality(key_names) > 0 THEN
        taken := amends_append_1(
            a_ids, a_seqs, a_shards, a_bodies, a_opened, a_opened_shards, false,
            key_names, key_values, key_ids, key_hashes
        );
    END IF;
    IF cardinality(due_ids) > 0 THEN
        UPDATE amends_open SET due = asked.due
        FROM unnest(due_ids, due_times) AS asked (saga_id, due)
        WHERE amends_open.saga_id = asked.saga_id AND amends_open.due <> asked.due;
    END IF;
    IF cardinality(a_closed) > 0 THEN
        DELETE FROM amends_open WHERE saga_id = ANY (a_closed);
    END IF;
    IF cardinality(answered) > 0 THEN
        UPDATE amends_inbox SET done = true, error = answer.error
        FROM unnest(answered, answers) AS answer (id, error)
        WHERE amends_inbox.id = answer.id;
    END IF;
    RETURN taken;
END $$;

-- That the shards are the worker's. Behind the lock on its row nobody else can move them.
CREATE FUNCTION amends_check_shards_1(a_epoch bigint, held smallint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM amends_shards WHERE shard = ANY (held) AND epoch = a_epoch) <> cardinality(held) THEN
        RAISE EXCEPTION 'amends: lease lost' USING ERRCODE = 'AM002';
    END IF;
END $$;

-- Folded summaries. `told` is JSON [{"place": 1, "saga_id": ...}, ...], `bodies` theirs by place. What a start says
-- once and for all is left out of the update, so that its indexes are not touched.
CREATE FUNCTION amends_summarise_1(
    told json, bodies bytea[],
    labels text[], label_values text[], label_ids text[], failed_steps text[], failed_ids text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO amends_summaries (
        started, updated, ended, deadline, waiting, version, seq, shape, paused, turned_back, anomalous,
        followup_failed, manual, intervened, saga_id, name, status, key, hold, step, cause, body
    )
    SELECT started, updated, ended, deadline, waiting, version, seq, shape, paused, turned_back, anomalous,
           followup_failed, manual, intervened, saga_id, name, status, key, hold, step, cause, bodies[place]
    FROM json_to_recordset(told) AS row (
             place integer, started bigint, updated bigint, ended bigint, deadline bigint, waiting bigint,
             version bigint, seq integer, shape smallint, paused smallint, turned_back smallint, anomalous smallint,
             followup_failed smallint, manual smallint, intervened smallint, saga_id text, name text, status text,
             key text, hold text, step text, cause text
         )
    WHERE NOT EXISTS (SELECT FROM amends_pruned AS gone WHERE gone.saga_id = row.saga_id)
    ORDER BY saga_id
    ON CONFLICT (saga_id) DO UPDATE SET
        updated = excluded.updated, ended = excluded.ended, deadline = excluded.deadline, waiting = excluded.waiting,
        seq = excluded.seq, paused = excluded.paused, turned_back = excluded.turned_back,
        anomalous = excluded.anomalous, followup_failed = excluded.followup_failed, manual = excluded.manual,
        intervened = excluded.intervened, status = excluded.status, hold = excluded.hold, step = excluded.step,
        cause = excluded.cause, body = excluded.body
    WHERE amends_summaries.seq < excluded.seq;

    IF cardinality(labels) > 0 THEN
        INSERT INTO amends_correlation (key, value, saga_id)
        SELECT label.key, label.value, label.saga_id
        FROM unnest(labels, label_values, label_ids) AS label (key, value, saga_id)
        WHERE NOT EXISTS (SELECT FROM amends_pruned AS gone WHERE gone.saga_id = label.saga_id)
        ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(failed_steps) > 0 THEN
        INSERT INTO amends_failed (step, saga_id)
        SELECT failed.step, failed.saga_id
        FROM unnest(failed_steps, failed_ids) AS failed (step, saga_id)
        WHERE NOT EXISTS (SELECT FROM amends_pruned AS gone WHERE gone.saga_id = failed.saga_id)
        ORDER BY 1, 2
        ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- A step of the projection: the marks move with the summaries, and only from where those were folded.
CREATE FUNCTION amends_project_1(
    a_shards smallint[], marks_before bigint[], marks_after bigint[], told json, bodies bytea[],
    labels text[], label_values text[], label_ids text[], failed_steps text[], failed_ids text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    PERFORM FROM amends_marks WHERE shard = ANY (a_shards) ORDER BY shard FOR UPDATE;
    UPDATE amends_marks SET position = asked.after
    FROM unnest(a_shards, marks_before, marks_after) AS asked (shard, before, after)
    WHERE amends_marks.shard = asked.shard AND amends_marks.position = asked.before;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(a_shards) THEN
        RAISE EXCEPTION 'amends: projected before' USING ERRCODE = 'AM004';
    END IF;
    PERFORM amends_summarise_1(told, bodies, labels, label_values, label_ids, failed_steps, failed_ids);
END $$;

-- A start by somebody who does not run the saga's shard. Its summary is written here: the marks follow the
-- order in which a shard's worker commits, and such a start stands outside that order.
CREATE FUNCTION amends_start_1(
    a_ids text[], a_shards smallint[], a_bodies bytea[],
    key_names text[], key_values text[], key_ids text[], key_hashes text[],
    told json, bodies bytea[], labels text[], label_values text[], label_ids text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    taken jsonb;
BEGIN
    taken := amends_append_1(
        a_ids, array_fill(1, ARRAY[cardinality(a_ids)]), a_shards, a_bodies, a_ids, a_shards, true,
        key_names, key_values, key_ids, key_hashes
    );
    IF taken IS NOT NULL THEN
        SELECT coalesce(json_agg(told_row), '[]') INTO told
        FROM json_array_elements(told) AS told_row WHERE NOT taken ? (told_row ->> 'saga_id');
        SELECT array_agg(key), array_agg(value), array_agg(saga_id) INTO labels, label_values, label_ids
        FROM unnest(labels, label_values, label_ids) AS label (key, value, saga_id) WHERE NOT taken ? saga_id;
    END IF;
    PERFORM amends_summarise_1(told, bodies, labels, label_values, label_ids, '{}', '{}');
    RETURN taken;
END $$;

-- A start in somebody's own transaction may stay open for long. It gets its place when that commits, so
-- that nobody who reads the journal in order waits for it; and the worker is rung then, and not before.
CREATE FUNCTION amends_place_1() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    first bigint := amends_begin_1();
BEGIN
    PERFORM set_config('amends.writing', 'placing', true);
    UPDATE amends_journal SET position = first + 1 WHERE saga_id = NEW.saga_id AND seq = 1;
    UPDATE amends_open SET number = first + 1 WHERE saga_id = NEW.saga_id;
    PERFORM set_config('amends.writing', '', true);
    PERFORM pg_notify('amends_' || left(current_schema(), 50), 'work');
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER amends_open_is_placed AFTER INSERT ON amends_open
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number = 0) EXECUTE FUNCTION amends_place_1();

-- Removes some sagas, whole. Only one that is not open and whose summary holds its whole journal: nobody has
-- anything left to write for it but what comes late, and the workers who might are kept off meanwhile.
CREATE FUNCTION amends_prune_1(asked text[], a_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM amends_workers
    WHERE epoch IN (
        SELECT running.epoch
        FROM amends_journal AS first JOIN amends_shards AS running ON running.shard = first.shard
        WHERE first.saga_id = ANY (asked) AND first.seq = 1
    )
    ORDER BY epoch FOR NO KEY UPDATE;
    INSERT INTO amends_pruned (ended, pruned, saga_id, name, key, status)
    SELECT ended, a_now, saga_id, name, key, status
    FROM amends_summaries AS told
    WHERE saga_id = ANY (asked) AND ended > 0
      AND NOT EXISTS (SELECT FROM amends_open WHERE saga_id = told.saga_id)
      AND seq = (SELECT max(seq) FROM amends_journal WHERE saga_id = told.saga_id)
    ORDER BY saga_id
    ON CONFLICT DO NOTHING;
    DELETE FROM amends_correlation
    WHERE saga_id IN (SELECT saga_id FROM amends_pruned WHERE saga_id = ANY (asked));
    DELETE FROM amends_failed WHERE saga_id IN (SELECT saga_id FROM amends_pruned WHERE saga_id = ANY (asked));
    DELETE FROM amends_summaries WHERE saga_id IN (SELECT saga_id FROM amends_pruned WHERE saga_id = ANY (asked));
    PERFORM set_config('amends.writing', 'pruning', true);
    DELETE FROM amends_journal WHERE saga_id IN (SELECT saga_id FROM amends_pruned WHERE saga_id = ANY (asked));
    PERFORM set_config('amends.writing', '', true);
    RETURN (SELECT count(*) FROM amends_pruned WHERE saga_id = ANY (asked));
END $$;

-- A start within somebody else's transaction, on a connection of his own; one statement, so that it does not matter
-- which driver that is. NULL when it is written, or why it is not, as JSON; then nothing is:
--   {"store": 1}   the tables are not those of the store that was expected
--   {"fingerprint": "..."}   the definition's version is registered with another structure
--   {"holder": id, "input_hash": "...", "first_frame": hex or null}   the start key is taken
CREATE FUNCTION amends_join_1(
    expected bigint, a_id text, a_shard integer, a_body bytea,
    a_name text, a_version bigint, a_fingerprint text, a_structure bytea, a_redactions bytea,
    a_key text, a_hash text, told text, a_summary bytea, labels text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    known text;
    holder amends_keys;
BEGIN
    IF expected <> 0 AND NOT EXISTS (SELECT FROM amends_meta WHERE name = 'store' AND value = expected) THEN
        RETURN '{"store": 1}';
    END IF;
    SELECT fingerprint INTO known FROM amends_definitions WHERE name = a_name AND version = a_version;
    IF known <> a_fingerprint THEN
        RETURN json_build_object('fingerprint', known);
    END IF;
    IF a_key <> '' THEN
        PERFORM pg_advisory_xact_lock(1634561893, hashtext(a_name || E'\x1f' || a_key));  -- see amends_open_keys_1
        INSERT INTO amends_keys VALUES (a_name, a_key, a_id, a_hash) ON CONFLICT DO NOTHING;
        SELECT * INTO holder FROM amends_keys WHERE name = a_name AND key = a_key;
        IF holder.saga_id <> a_id THEN
            RETURN json_build_object(
                'holder', holder.saga_id, 'input_hash', holder.input_hash, 'first_frame',
                (SELECT encode(body, 'hex') FROM amends_journal WHERE saga_id = holder.saga_id AND seq = 1)
            );
        END IF;
    END IF;
    IF known IS NULL THEN
        INSERT INTO amends_definitions VALUES (a_name, a_version, a_fingerprint, a_structure, a_redactions)
        ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO amends_journal (position, seq, shard, saga_id, body) VALUES (0, 1, a_shard, a_id, a_body);
    INSERT INTO amends_open (number, shard, outside, saga_id) VALUES (0, a_shard, true, a_id);
    PERFORM amends_summarise_1(
        told::json, ARRAY[a_summary],
        (SELECT coalesce(array_agg(key), '{}') FROM json_each_text(labels::json)),
        (SELECT coalesce(array_agg(value), '{}') FROM json_each_text(labels::json)),
        (SELECT coalesce(array_agg(a_id), '{}') FROM json_each_text(labels::json)),
        '{}', '{}'
    );
    RETURN NULL;
END $$;
