-- Looks: what somebody waits for and a worker finds out. A row lives for some minutes at most.
CREATE TABLE looks (
    look_id    TEXT   NOT NULL PRIMARY KEY,
    asked      TEXT   NOT NULL, -- JSON, without personal data
    state      TEXT   NOT NULL, -- asked, found, failed
    answer     TEXT   NOT NULL, -- of found: sealed with the master key; of failed: words
    master_key TEXT   NOT NULL, -- which one
    asked_us   BIGINT NOT NULL,
    until_us   BIGINT NOT NULL  -- nobody waits any longer
);
CREATE INDEX looks_by_age ON looks (until_us);

-- How many looks a worker takes at a time; 0: it is of a version that knows none.
ALTER TABLE workers ADD COLUMN look BIGINT NOT NULL DEFAULT 0;
