-- Keys of connections that are kept elsewhere.

-- Where the control-plane finds the key, as `env:NAME` or `file:PATH`; '': it is sealed in this row.
ALTER TABLE connections ADD COLUMN key_reference TEXT NOT NULL DEFAULT '';
-- A name for the key that was last found there, by which another one is noticed.
ALTER TABLE connections ADD COLUMN key_print TEXT NOT NULL DEFAULT '';
