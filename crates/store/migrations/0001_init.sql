-- TEXT and BIGINT only: the same statements serve SQLite and PostgreSQL. Times are microseconds of the
-- store's clock, ids are text.

CREATE TABLE runs (
    run_id            TEXT   NOT NULL PRIMARY KEY,
    state             TEXT   NOT NULL,
    account_id        TEXT   NOT NULL,
    list_id           TEXT   NOT NULL,
    plan              TEXT   NOT NULL,
    hold              BIGINT NOT NULL,  -- 1: nothing is sent before the whole segment was read
    max_profiles      BIGINT NOT NULL,
    allow_empty       BIGINT NOT NULL,
    confirm_us        BIGINT NOT NULL,  -- how long Klaviyo may take to confirm a batch
    deadline_us       BIGINT NOT NULL,
    splits_left       BIGINT NOT NULL,
    read_done         BIGINT NOT NULL,
    parked            BIGINT NOT NULL,  -- 1: whoever worked on it is dead, and nobody has gone on with it
    profiles          BIGINT NOT NULL,  -- staged so far
    throttled         BIGINT NOT NULL,  -- answers of 429 to requests that were not for this run alone
    summary           TEXT,
    stop              TEXT,             -- cancel, failure
    fail_reason       TEXT,
    fail_detail       TEXT,
    created_us        BIGINT NOT NULL,
    resumed_us        BIGINT NOT NULL,  -- when somebody last began to work on it: patience counts from here
    started_us        BIGINT,
    first_request_us  BIGINT,
    last_accepted_us  BIGINT,
    ended_us          BIGINT
);
CREATE INDEX runs_live ON runs (account_id) WHERE ended_us IS NULL;

CREATE TABLE batches (
    run_id             TEXT   NOT NULL,
    batch_no           BIGINT NOT NULL,
    parent             BIGINT,
    state              TEXT   NOT NULL, -- empty, held, ready, accepted, confirmed, split, given_up
    staged             BIGINT NOT NULL, -- 0: body and index were lost and have to be read again
    hash               TEXT   NOT NULL,
    profiles           BIGINT NOT NULL,
    bytes              BIGINT NOT NULL,
    rows_read          BIGINT NOT NULL,
    duplicates         BIGINT NOT NULL,
    warnings           BIGINT NOT NULL,
    sent               BIGINT NOT NULL, -- profiles in the accepted body
    rejected           BIGINT NOT NULL, -- of the batch's own profiles, by Klaviyo
    undelivered        BIGINT NOT NULL, -- of the accepted profiles, once confirmed
    undelivered_reason TEXT,
    klaviyo_job        TEXT,
    accepted_us        BIGINT,
    accepted_bytes     BIGINT NOT NULL,
    PRIMARY KEY (run_id, batch_no)
);
CREATE INDEX batches_by_state ON batches (run_id, state);

CREATE TABLE rejects (
    run_id   TEXT   NOT NULL,
    batch_no BIGINT NOT NULL,
    phase    TEXT   NOT NULL, -- mapping, upload, confirm
    reason   TEXT   NOT NULL,
    n        BIGINT NOT NULL,
    PRIMARY KEY (run_id, batch_no, phase, reason)
);

CREATE TABLE reports (
    run_id   TEXT   NOT NULL,
    batch_no BIGINT NOT NULL,
    phase    TEXT   NOT NULL, -- mapping, upload, confirm, warnings
    name     TEXT   NOT NULL,
    PRIMARY KEY (run_id, batch_no, phase)
);

CREATE TABLE jobs (
    job_id       TEXT   NOT NULL PRIMARY KEY,
    kind         TEXT   NOT NULL, -- read, upload, confirm
    account_id   TEXT   NOT NULL,
    run_id       TEXT   NOT NULL, -- '' for confirm: it belongs to the account
    batch_no     BIGINT NOT NULL, -- -1 but for upload
    state        TEXT   NOT NULL, -- ready, claimed, done
    attempt      BIGINT NOT NULL,
    available_us BIGINT NOT NULL,
    announced    BIGINT NOT NULL, -- how often, of this attempt
    announce_us  BIGINT NOT NULL, -- when it is to be announced (again)
    failures     BIGINT NOT NULL, -- in a row
    failing_us   BIGINT,          -- since when
    claim_id     TEXT,
    lease_us     BIGINT,
    UNIQUE (kind, account_id, run_id, batch_no)
);
CREATE INDEX jobs_by_state ON jobs (state, announce_us);
CREATE UNIQUE INDEX jobs_by_claim ON jobs (claim_id);
CREATE INDEX jobs_by_run ON jobs (run_id);

CREATE TABLE lanes (
    account_id TEXT   NOT NULL,
    endpoint   TEXT   NOT NULL,
    burst      BIGINT NOT NULL,
    throttled  BIGINT NOT NULL,
    closed_us  BIGINT NOT NULL,
    grow_us    BIGINT NOT NULL,
    failed     BIGINT NOT NULL,
    PRIMARY KEY (account_id, endpoint)
);

-- One row for each request to Klaviyo: the intent before the call, the rate history, the fence.
CREATE TABLE sends (
    permit_id   TEXT   NOT NULL PRIMARY KEY,
    account_id  TEXT   NOT NULL,
    endpoint    TEXT   NOT NULL,
    run_id      TEXT,
    batch_no    BIGINT,
    claim_id    TEXT,
    granted_us  BIGINT NOT NULL,
    answered_us BIGINT,
    outcome     TEXT              -- accepted, fine, throttled, not_applied, ambiguous, not_sent
);
CREATE INDEX sends_by_lane ON sends (account_id, endpoint, answered_us);
CREATE INDEX sends_by_run ON sends (run_id, endpoint);
-- What is under way is little, whatever has been sent before.
CREATE INDEX sends_of_claim ON sends (claim_id) WHERE answered_us IS NULL;
CREATE INDEX sends_in_flight ON sends (run_id) WHERE answered_us IS NULL;

-- What Klaviyo said of keys and lists, so that runs in a row need not ask again.
CREATE TABLE answers (
    subject TEXT   NOT NULL PRIMARY KEY,
    answer  TEXT   NOT NULL,
    at_us   BIGINT NOT NULL
);
