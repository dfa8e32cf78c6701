-- What the services need beyond `segue export`.

CREATE TABLE connections (
    connection_id   TEXT   NOT NULL PRIMARY KEY,
    display_name    TEXT   NOT NULL,
    account_id      TEXT   NOT NULL,
    account_name    TEXT   NOT NULL,
    sealed_key      TEXT   NOT NULL, -- base64
    master_key      TEXT   NOT NULL, -- the id of the key that sealed it
    consent_version TEXT   NOT NULL,
    consent_by      TEXT   NOT NULL,
    consent_us      BIGINT NOT NULL,
    created_us      BIGINT NOT NULL
);

CREATE TABLE exports (
    export_id        TEXT   NOT NULL PRIMARY KEY,
    display_name     TEXT   NOT NULL,
    connection_id    TEXT   NOT NULL,
    list_id          TEXT   NOT NULL,
    segments         TEXT   NOT NULL, -- JSON
    mapping          TEXT   NOT NULL, -- JSON
    allow_live_flows BIGINT NOT NULL,
    allow_empty      BIGINT NOT NULL,
    max_profiles     BIGINT NOT NULL, -- 2^63 - 1: no limit
    created_us       BIGINT NOT NULL,
    updated_us       BIGINT NOT NULL
);
CREATE INDEX exports_by_connection ON exports (connection_id);

-- What was made for a request, so that the same request makes nothing more.
CREATE TABLE requests (
    kind       TEXT   NOT NULL, -- connection, export, run
    request_id TEXT   NOT NULL,
    made       TEXT   NOT NULL, -- the id of what was made
    content    TEXT   NOT NULL, -- what was asked for, to tell it from another request of the same id
    at_us      BIGINT NOT NULL,
    PRIMARY KEY (kind, request_id)
);

ALTER TABLE runs ADD COLUMN export_id TEXT;
ALTER TABLE runs ADD COLUMN connection_id TEXT;
ALTER TABLE runs ADD COLUMN cause TEXT NOT NULL DEFAULT 'command_line';
ALTER TABLE runs ADD COLUMN request_id TEXT;
ALTER TABLE runs ADD COLUMN retry_of TEXT;
ALTER TABLE runs ADD COLUMN trace TEXT;
-- 0: the plan says what is wanted, and the first reading freezes it.
ALTER TABLE runs ADD COLUMN frozen BIGINT NOT NULL DEFAULT 1;
-- The number of its last event.
ALTER TABLE runs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX runs_live_of_export ON runs (export_id) WHERE ended_us IS NULL;
CREATE INDEX runs_by_age ON runs (created_us, run_id);
CREATE INDEX runs_by_export ON runs (export_id, created_us, run_id);
CREATE INDEX runs_by_retry ON runs (retry_of) WHERE retry_of IS NOT NULL;

ALTER TABLE jobs ADD COLUMN trace TEXT;

-- What has happened and was not published yet.
CREATE TABLE events (
    event_id   TEXT   NOT NULL PRIMARY KEY,
    at_us      BIGINT NOT NULL,
    topic      TEXT   NOT NULL, -- run.<state>, batch.<state>, command.rejected
    run_id     TEXT   NOT NULL, -- '' for a command that names none
    seq        BIGINT NOT NULL,
    batch_no   BIGINT,
    profiles   BIGINT,
    request_id TEXT,
    reason     TEXT,
    detail     TEXT
);

CREATE TABLE workers (
    worker_id TEXT   NOT NULL PRIMARY KEY,
    seen_us   BIGINT NOT NULL,
    read      BIGINT NOT NULL,
    upload    BIGINT NOT NULL,
    confirm   BIGINT NOT NULL
);

-- Who does what only one needs to do. It saves work; nothing depends on it.
CREATE TABLE leaders (
    duty     TEXT   NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    until_us BIGINT NOT NULL
);
