-- What a run refuses to send, and what it knows of its source.

-- In percent; NULL: what holds unless somebody says otherwise, 0: not judged.
ALTER TABLE exports ADD COLUMN max_growth BIGINT;
ALTER TABLE exports ADD COLUMN max_shrinkage BIGINT;
ALTER TABLE exports ADD COLUMN max_rejects BIGINT;
-- How old the source of a scheduled run may be; NULL: as old as it is. How long the run waits for a younger one.
ALTER TABLE exports ADD COLUMN max_source_age_us BIGINT;
ALTER TABLE exports ADD COLUMN source_wait_us BIGINT NOT NULL DEFAULT 0;

-- In percent; NULL: not judged, as runs that began before there was such a guard.
ALTER TABLE runs ADD COLUMN max_growth BIGINT;
ALTER TABLE runs ADD COLUMN max_shrinkage BIGINT;
ALTER TABLE runs ADD COLUMN max_rejects BIGINT;
-- 1: somebody wanted it to run whatever its guards say.
ALTER TABLE runs ADD COLUMN guards_overridden BIGINT NOT NULL DEFAULT 0;
-- Only so many rows are read; 0: all.
ALTER TABLE runs ADD COLUMN trial_rows BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN max_source_age_us BIGINT;
ALTER TABLE runs ADD COLUMN source_wait_us BIGINT NOT NULL DEFAULT 0;
-- What the first reading found: the segments as JSON, since when the source is as it is, how long that was then,
-- and whether it is what the last good run has read. NULL: nobody has said.
ALTER TABLE runs ADD COLUMN segments TEXT;
ALTER TABLE runs ADD COLUMN source_us BIGINT;
ALTER TABLE runs ADD COLUMN source_age_us BIGINT;
ALTER TABLE runs ADD COLUMN same_source BIGINT NOT NULL DEFAULT 0;

-- How the rows of a batch are spread over the segments of its run. Rows of which nobody has said so are in none.
CREATE TABLE segment_counts (
    run_id     TEXT   NOT NULL,
    batch_no   BIGINT NOT NULL,
    phase      TEXT   NOT NULL, -- mapping, upload, confirm
    segment    BIGINT NOT NULL, -- from 0, in the order of the export
    rows_read  BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    rejected   BIGINT NOT NULL,
    PRIMARY KEY (run_id, batch_no, phase, segment)
);
