-- When exports run by themselves.

ALTER TABLE exports ADD COLUMN schedule TEXT NOT NULL DEFAULT '"system"'; -- JSON
-- When it is due next; NULL: never.
ALTER TABLE exports ADD COLUMN next_us BIGINT;
-- It is due, and waits for the run that is under way: for which time, and how many times passed before it.
ALTER TABLE exports ADD COLUMN waiting_us BIGINT;
ALTER TABLE exports ADD COLUMN missed BIGINT NOT NULL DEFAULT 0;
-- Why it did not run when it was due last.
ALTER TABLE exports ADD COLUMN problem_us BIGINT;
ALTER TABLE exports ADD COLUMN problem TEXT NOT NULL DEFAULT '';
ALTER TABLE exports ADD COLUMN problem_detail TEXT NOT NULL DEFAULT '';
CREATE INDEX exports_by_next ON exports (next_us) WHERE next_us IS NOT NULL;
CREATE INDEX exports_waiting ON exports (waiting_us) WHERE waiting_us IS NOT NULL;

-- For which time of its schedule a run was started, and how many times it makes up for.
ALTER TABLE runs ADD COLUMN due_us BIGINT;
ALTER TABLE runs ADD COLUMN missed BIGINT NOT NULL DEFAULT 0;

-- What holds for the whole system.
CREATE TABLE settings (
    name       TEXT   NOT NULL PRIMARY KEY, -- schedule
    value      TEXT   NOT NULL,             -- JSON
    changed_us BIGINT NOT NULL
);
INSERT INTO settings (name, value, changed_us) VALUES ('schedule', 'null', 0);
