-- What becomes of the columns of an export: found once, when it was saved, and kept until somebody asks to look again.
CREATE TABLE export_columns (
    export_id   TEXT   NOT NULL PRIMARY KEY,
    settled_for TEXT   NOT NULL, -- what the export said of its segments and columns then, as JSON; of another the row says nothing
    mapping     TEXT   NOT NULL, -- JSON; empty: it is not known yet
    problem     TEXT   NOT NULL, -- why it is not known, in words; empty if it is
    new_columns TEXT   NOT NULL, -- JSON: columns that a run has met since, and that are not sent
    settled_us  BIGINT NOT NULL
);

-- What a run began with, of the same; empty: its first reading decides.
ALTER TABLE runs ADD COLUMN columns TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN columns_for TEXT NOT NULL DEFAULT '';
