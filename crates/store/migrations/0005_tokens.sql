-- Who may call, besides those that an identity provider vouches for.

CREATE TABLE tokens (
    token_id   TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    role       TEXT   NOT NULL, -- viewer, contributor, administrator
    hash       TEXT   NOT NULL, -- SHA-256 of the secret; the secret itself is kept nowhere
    created_by TEXT   NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT,          -- NULL: never
    revoked_us BIGINT
);
