-- What filters and figures ask for, as columns. `shape` is the SHAPE of core/summary.py that a row was
-- folded by. Rows from before this migration, and rows that a release without it writes beside us, have
-- the default; a store that finds one when it opens folds the whole projection anew.
ALTER TABLE amends_summaries ADD COLUMN shape       INTEGER NOT NULL DEFAULT 1;
ALTER TABLE amends_summaries ADD COLUMN version     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN step        TEXT    NOT NULL DEFAULT '';
ALTER TABLE amends_summaries ADD COLUMN started     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN updated     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN ended       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN deadline    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN waiting     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN paused      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN turned_back INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN manual      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE amends_summaries ADD COLUMN intervened  INTEGER NOT NULL DEFAULT 0;

CREATE INDEX amends_summaries_of_shape_1 ON amends_summaries (saga_id) WHERE shape < 2;
CREATE INDEX amends_summaries_started ON amends_summaries (started);
CREATE INDEX amends_summaries_ended ON amends_summaries (ended) WHERE ended > 0;
CREATE INDEX amends_summaries_waiting ON amends_summaries (waiting) WHERE waiting > 0;
CREATE INDEX amends_summaries_anomalous ON amends_summaries (anomalous, saga_id) WHERE anomalous = 1;
CREATE INDEX amends_summaries_followup_failed ON amends_summaries (followup_failed, saga_id) WHERE followup_failed = 1;
CREATE INDEX amends_summaries_paused ON amends_summaries (paused, saga_id) WHERE paused = 1;
CREATE INDEX amends_summaries_manual ON amends_summaries (manual, saga_id) WHERE manual = 1;
CREATE INDEX amends_summaries_intervened ON amends_summaries (intervened, saga_id) WHERE intervened = 1;

-- The steps of each saga that ever failed.
CREATE TABLE amends_failed (
    step    TEXT NOT NULL,
    saga_id TEXT NOT NULL,
    PRIMARY KEY (step, saga_id)
) STRICT, WITHOUT ROWID;
