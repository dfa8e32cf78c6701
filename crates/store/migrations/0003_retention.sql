-- What is removed when its time has come, and jobs whose messages died.

-- When it was decided that nobody needs them any more: from then on they are not there.
ALTER TABLE runs ADD COLUMN batches_removed_us BIGINT;
ALTER TABLE runs ADD COLUMN reports_removed_us BIGINT;
CREATE INDEX runs_by_end ON runs (ended_us) WHERE ended_us IS NOT NULL;
CREATE INDEX requests_by_age ON requests (at_us);
CREATE INDEX answers_by_age ON answers (at_us);

-- One row for each job whose last message died before a worker had it, and for each message that belongs to
-- no job. Nothing of what a message says is kept.
CREATE TABLE dead_jobs (
    dead_id    TEXT   NOT NULL PRIMARY KEY,
    subject    TEXT   NOT NULL UNIQUE, -- the job, or the hash of the message
    job_id     TEXT   NOT NULL,        -- '', as are the others, if nobody knows which job it was
    kind       TEXT   NOT NULL,
    account_id TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,        -- '' for confirm
    batch_no   BIGINT NOT NULL,        -- -1 but for upload
    attempt    BIGINT NOT NULL,        -- that died last
    cause      TEXT   NOT NULL,        -- deliveries, unreadable, unknown_schema
    detail     TEXT   NOT NULL,
    bytes      BIGINT NOT NULL,        -- length of the message
    sha256     TEXT   NOT NULL,
    first_us   BIGINT NOT NULL,
    last_us    BIGINT NOT NULL,
    deaths     BIGINT NOT NULL
);
CREATE INDEX dead_jobs_by_run ON dead_jobs (run_id, dead_id);
CREATE INDEX dead_jobs_by_age ON dead_jobs (last_us);
