-- The first schema. Every name begins with `amends_`, so that the tables can live in a schema that an
-- application shares with its sagas. Texts compare by their bytes (COLLATE "C"), as in every other store.

-- One number for each transaction that writes to the journal. A row's position is that number times 65,536
-- and the row's place in its transaction, so one call gives room for a whole batch.
CREATE SEQUENCE amends_transactions;

-- The journal: append-only, the only truth. Wide columns first, so that nothing is lost to padding.
CREATE TABLE amends_journal (
    position bigint   NOT NULL,
    seq      integer  NOT NULL CHECK (seq > 0),
    shard    smallint NOT NULL,
    saga_id  text COLLATE "C" NOT NULL,
    body     bytea    NOT NULL,
    PRIMARY KEY (saga_id, seq)
);
CREATE INDEX amends_journal_of_shard ON amends_journal (shard, position);
-- A frame is JSON of a few hundred bytes: compressing it costs more than it saves.
ALTER TABLE amends_journal ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE FUNCTION amends_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('amends.writing', true), '') <> TG_ARGV[0] THEN
        RAISE EXCEPTION 'amends: the journal is append-only' USING ERRCODE = 'AM001';
    END IF;
    RETURN NULL;
END $$;
-- Only pruning deletes, and only a start in somebody's own transaction is given its place later; both say so.
CREATE TRIGGER amends_journal_is_only_placed BEFORE UPDATE ON amends_journal
FOR EACH STATEMENT EXECUTE FUNCTION amends_append_only('placing');
CREATE TRIGGER amends_journal_is_only_pruned BEFORE DELETE ON amends_journal
FOR EACH STATEMENT EXECUTE FUNCTION amends_append_only('pruning');

-- `due` is 0 for a saga that is awake. `outside`: started by somebody who does not run its shard.
CREATE TABLE amends_open (
    number  bigint   NOT NULL,
    due     bigint   NOT NULL DEFAULT 0,
    shard   smallint NOT NULL,
    outside boolean  NOT NULL DEFAULT false,
    saga_id text COLLATE "C" PRIMARY KEY
);
CREATE INDEX amends_open_of_shard ON amends_open (shard, due, number);

CREATE TABLE amends_keys (
    name       text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    saga_id    text COLLATE "C" NOT NULL,
    input_hash text NOT NULL,
    PRIMARY KEY (name, key)
);

CREATE TABLE amends_definitions (
    name        text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    fingerprint text   NOT NULL,
    structure   bytea  NOT NULL,
    redactions  bytea  NOT NULL DEFAULT '',
    PRIMARY KEY (name, version)
);

CREATE TABLE amends_inbox (
    id      bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    posted  bigint   NOT NULL,
    shard   smallint NOT NULL,
    done    boolean  NOT NULL DEFAULT false,
    saga_id text COLLATE "C" NOT NULL,
    error   text     NOT NULL DEFAULT '',
    body    bytea    NOT NULL
);
CREATE INDEX amends_inbox_waiting ON amends_inbox (id) WHERE NOT done;

-- A worker that runs sagas: its lease. `batch` is the number of the last batch applied under `epoch`. Its
-- row is the lock between its commits and whoever takes its shards when the lease is over.
CREATE TABLE amends_workers (
    epoch           bigint PRIMARY KEY,
    batch           bigint NOT NULL DEFAULT 0,
    expires         bigint NOT NULL,
    process_started bigint NOT NULL,
    pid             bigint NOT NULL,
    owner           text   NOT NULL,
    host            text   NOT NULL,
    boot_id         text   NOT NULL,
    definitions     text[] NOT NULL  -- what it can run: name, version and fingerprint of each
) WITH (fillfactor = 50);

-- Who would like to run sagas and found no shard free.
CREATE TABLE amends_waiting (
    owner   text PRIMARY KEY,
    expires bigint NOT NULL
);

-- Who runs a shard: the epoch of its worker, 0 for nobody. `needs` are definitions that a worker lacked for sagas of it.
CREATE TABLE amends_shards (
    shard smallint PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    needs text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
INSERT INTO amends_shards (shard) SELECT generate_series(0, 63);

-- The projection: of each shard equal to the fold of its journal up to `position`.
CREATE TABLE amends_marks (
    shard    smallint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO amends_marks (shard) SELECT shard FROM amends_shards;

CREATE TABLE amends_meta (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);
-- `epoch` is the last one given to a worker; `store` tells this store from every other.
INSERT INTO amends_meta VALUES ('epoch', 0), ('store', 1 + (random() * 9007199254740990)::bigint);

CREATE TABLE amends_summaries (
    started         bigint   NOT NULL,
    updated         bigint   NOT NULL,
    ended           bigint   NOT NULL,
    deadline        bigint   NOT NULL,
    waiting         bigint   NOT NULL,
    version         bigint   NOT NULL,
    seq             integer  NOT NULL,
    shape           smallint NOT NULL,
    paused          smallint NOT NULL,
    turned_back     smallint NOT NULL,
    anomalous       smallint NOT NULL,
    followup_failed smallint NOT NULL,
    manual          smallint NOT NULL,
    intervened      smallint NOT NULL,
    saga_id         text COLLATE "C" PRIMARY KEY,
    name            text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL,
    key             text COLLATE "C" NOT NULL,
    hold            text COLLATE "C" NOT NULL,
    step            text COLLATE "C" NOT NULL,
    cause           text COLLATE "C" NOT NULL,
    body            bytea    NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX amends_summaries_status ON amends_summaries (status, saga_id);
CREATE INDEX amends_summaries_name ON amends_summaries (name, saga_id);
CREATE INDEX amends_summaries_key ON amends_summaries (key) WHERE key <> '';
CREATE INDEX amends_summaries_hold ON amends_summaries (hold, saga_id) WHERE hold <> '';
CREATE INDEX amends_summaries_of_shape ON amends_summaries (shape) WHERE shape < 3;
CREATE INDEX amends_summaries_started ON amends_summaries (started);
CREATE INDEX amends_summaries_ended ON amends_summaries (ended) WHERE ended > 0;
CREATE INDEX amends_summaries_waiting ON amends_summaries (waiting) WHERE waiting > 0;
CREATE INDEX amends_summaries_anomalous ON amends_summaries (saga_id) WHERE anomalous = 1;
CREATE INDEX amends_summaries_followup_failed ON amends_summaries (saga_id) WHERE followup_failed = 1;
CREATE INDEX amends_summaries_paused ON amends_summaries (saga_id) WHERE paused = 1;
CREATE INDEX amends_summaries_manual ON amends_summaries (saga_id) WHERE manual = 1;
CREATE INDEX amends_summaries_intervened ON amends_summaries (saga_id) WHERE intervened = 1;

CREATE TABLE amends_correlation (
    key     text COLLATE "C" NOT NULL,
    value   text COLLATE "C" NOT NULL,
    saga_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (key, value, saga_id)
);
CREATE INDEX amends_correlation_of ON amends_correlation (saga_id);
CREATE TABLE amends_failed (
    step    text COLLATE "C" NOT NULL,
    saga_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (step, saga_id)
);
CREATE INDEX amends_failed_of ON amends_failed (saga_id);

-- What is left of a saga whose journal was pruned.
CREATE TABLE amends_pruned (
    ended   bigint NOT NULL,
    pruned  bigint NOT NULL,
    saga_id text COLLATE "C" PRIMARY KEY,
    name    text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,
    status  text COLLATE "C" NOT NULL
);
CREATE INDEX amends_pruned_since ON amends_pruned (pruned, saga_id);
