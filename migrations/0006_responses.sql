-- Responses that are kept for their callers, with what was asked: so long as the operator says.

CREATE TABLE responses (
    id TEXT CONSTRAINT responses_id PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    -- The response that this one continues. It may be gone.
    previous_id TEXT,
    -- The request's own items, a JSON list.
    input TEXT NOT NULL,
    -- The response object as it was told.
    response TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL CHECK (expires_us > created_us)
);

CREATE INDEX responses_by_expiry ON responses (expires_us);
CREATE INDEX responses_by_account ON responses (account_id, created_us);
