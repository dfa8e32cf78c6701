-- Sources: named places where segments are found.
CREATE TABLE sources (
    source_id    TEXT   NOT NULL PRIMARY KEY,
    display_name TEXT   NOT NULL,
    folder       TEXT   NOT NULL, -- below the workers' source folder; '': that folder itself
    created_us   BIGINT NOT NULL,
    updated_us   BIGINT NOT NULL
);
CREATE UNIQUE INDEX sources_by_name ON sources (display_name);
-- Locked by whoever gives a source a name, so that they do so one after the other.
INSERT INTO settings (name, value, changed_us) VALUES ('sources', 'null', 0);

-- Below whose folder its segments are; '': below the workers' source folder.
ALTER TABLE exports ADD COLUMN source_id TEXT NOT NULL DEFAULT '';
