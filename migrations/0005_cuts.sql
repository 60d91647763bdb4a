-- What providers billed, by their own records, for answers that were left in the middle.
CREATE TABLE cuts (
    generation_id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    -- Completion tokens up to the cut, as the customer was charged.
    seen_tokens BIGINT NOT NULL CHECK (seen_tokens >= 0),
    billed_tokens BIGINT NOT NULL CHECK (billed_tokens >= 0),
    -- Of an answer of this model at this provider on average, when the record was imported.
    usual_tokens BIGINT NOT NULL CHECK (usual_tokens >= 0),
    imported_us BIGINT NOT NULL
);

-- Answers whose connection was closed before their end, by the provider's name of them.
CREATE INDEX generations_left ON generations (provider, upstream_id)
WHERE outcome = 'cancelled' AND finish_reason IS NULL AND upstream_id IS NOT NULL;
