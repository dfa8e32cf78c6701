-- What is known of the keys of connections, and lists that are made at Klaviyo.

-- Since when it has its present key; 0: since before this was noted.
ALTER TABLE connections ADD COLUMN key_us BIGINT NOT NULL DEFAULT 0;
-- When Klaviyo was last seen to take or to refuse the key.
ALTER TABLE connections ADD COLUMN checked_us BIGINT;
-- Why the key cannot be used: a code, '' if nothing is known against it, and words.
ALTER TABLE connections ADD COLUMN problem TEXT NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN problem_detail TEXT NOT NULL DEFAULT '';

-- Requests for new lists. Klaviyo makes a list for each request that it is sent, so what was sent is written down
-- before.
CREATE TABLE new_lists (
    request_id    TEXT   NOT NULL PRIMARY KEY,
    connection_id TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    asked         BIGINT NOT NULL, -- 1: Klaviyo was asked, and may have made the list
    held_us       BIGINT NOT NULL, -- until then somebody is about it
    list_id       TEXT   NOT NULL, -- '': not known to be made
    at_us         BIGINT NOT NULL
);
CREATE INDEX new_lists_by_age ON new_lists (at_us);
