-- Who may use what, who is answerable for it, and what was done.

-- Whether contributors may use it, and with which lists only, as JSON; []: with any.
ALTER TABLE connections ADD COLUMN for_contributors BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN only_lists TEXT NOT NULL DEFAULT '[]';
-- It was removed, and is kept until the runs that use it have ended.
ALTER TABLE connections ADD COLUMN removed_us BIGINT;

-- Whom its runs act for; '': nobody, as those that were made before there were owners.
ALTER TABLE exports ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE exports ADD COLUMN owner_name TEXT NOT NULL DEFAULT '';
ALTER TABLE exports ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;

-- Who started it.
ALTER TABLE runs ADD COLUMN started_by TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN started_by_name TEXT NOT NULL DEFAULT '';

-- Whom an identity provider vouched for, and as what: runs that act for them go by it.
CREATE TABLE people (
    subject TEXT   NOT NULL PRIMARY KEY,
    name    TEXT   NOT NULL,
    role    TEXT   NOT NULL, -- viewer, contributor, administrator
    seen_us BIGINT NOT NULL
);

-- What was done, by whom. Rows are only ever added, and each vouches for the one before it.
CREATE TABLE audit (
    seq     BIGINT NOT NULL PRIMARY KEY,
    at_us   BIGINT NOT NULL,
    subject TEXT   NOT NULL,
    name    TEXT   NOT NULL, -- what people call the subject
    action  TEXT   NOT NULL,
    object  TEXT   NOT NULL, -- the id of what was changed
    detail  TEXT   NOT NULL, -- JSON, without secrets and without what is in segments
    hash    TEXT   NOT NULL  -- SHA-256 of all this and of the hash before it
);
CREATE INDEX audit_by_object ON audit (object, seq);
-- The last row of it, so that those who add one do so one after the other.
INSERT INTO settings (name, value, changed_us) VALUES ('audit', '{"seq":0,"hash":""}', 0);
