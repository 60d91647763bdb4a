-- One SQL text for SQLite and PostgreSQL: BIGINT (flags 0/1, times in microseconds, money in nano-dollars) and TEXT only.
-- Forward only: a migration that was released is never edited.

-- Facts about this installation, one row.
CREATE TABLE installation (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    first_user_id TEXT
);
INSERT INTO installation (id, first_user_id) VALUES (1, NULL);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    created_us BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    verified_us BIGINT,
    is_admin BIGINT NOT NULL CHECK (is_admin IN (0, 1)),
    created_us BIGINT NOT NULL
);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL,
    last_seen_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_us);

CREATE TABLE email_tokens (
    token_hash TEXT PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'reset')),
    user_id TEXT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE INDEX email_tokens_by_user ON email_tokens (user_id, purpose);

CREATE TABLE mails (
    id TEXT PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    sent_us BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_us BIGINT NOT NULL,
    last_error TEXT
);
CREATE INDEX mails_due ON mails (next_attempt_us) WHERE sent_us IS NULL;
CREATE INDEX mails_by_time ON mails (created_us);

CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    started_us BIGINT NOT NULL,
    heartbeat_us BIGINT NOT NULL
);

CREATE TABLE api_keys (
    hash TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    limit_nano BIGINT CHECK (limit_nano >= 0),
    reset_period TEXT CHECK (reset_period IN ('daily', 'weekly', 'monthly')),
    expires_us BIGINT,
    disabled BIGINT NOT NULL CHECK (disabled IN (0, 1)),
    deleted BIGINT NOT NULL CHECK (deleted IN (0, 1)),
    internal BIGINT NOT NULL CHECK (internal IN (0, 1)),
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    last_used_us BIGINT
);
CREATE INDEX api_keys_by_account ON api_keys (account_id);
CREATE INDEX api_keys_by_change ON api_keys (updated_us);
CREATE UNIQUE INDEX api_keys_one_internal ON api_keys (account_id) WHERE internal = 1 AND deleted = 0;

-- What a key has used, and what nodes have taken to spend from memory, in one window of time. A row appears with the first
-- lease in its window and is exact from then on, whatever becomes of the key's limit.
CREATE TABLE key_limits (
    key_hash TEXT NOT NULL REFERENCES api_keys (hash),
    period_start_us BIGINT NOT NULL,
    period_end_us BIGINT NOT NULL,
    used_nano BIGINT NOT NULL CHECK (used_nano >= 0),
    leased_nano BIGINT NOT NULL CHECK (leased_nano >= 0),
    PRIMARY KEY (key_hash, period_start_us, period_end_us),
    CHECK (period_start_us < period_end_us)
);

CREATE TABLE key_leases (
    node_id TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    period_start_us BIGINT NOT NULL,
    period_end_us BIGINT NOT NULL,
    leased_nano BIGINT NOT NULL CHECK (leased_nano >= 0),
    PRIMARY KEY (node_id, key_hash, period_start_us, period_end_us),
    FOREIGN KEY (key_hash, period_start_us, period_end_us) REFERENCES key_limits (key_hash, period_start_us, period_end_us)
);

-- Balances are cached sums of legs. The bounds keep SQLite from turning an overflow into a floating-point number.
CREATE TABLE ledger_accounts (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (
        kind IN ('customer', 'escrow', 'provider_payable', 'processor_clearing', 'house_cost', 'promotions')
    ),
    account_id TEXT,
    node_id TEXT,
    balance_nano BIGINT NOT NULL CHECK (balance_nano BETWEEN -9000000000000000000 AND 9000000000000000000),
    CHECK (kind <> 'escrow' OR balance_nano >= 0),
    CHECK ((kind IN ('customer', 'escrow')) = (account_id IS NOT NULL)),
    CHECK ((kind = 'escrow') = (node_id IS NOT NULL))
);
CREATE INDEX ledger_accounts_by_owner ON ledger_accounts (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX ledger_accounts_by_node ON ledger_accounts (node_id) WHERE node_id IS NOT NULL;

-- Append-only, like legs: corrected by a reversal, never by an update.
CREATE TABLE transfers (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (
        kind IN ('purchase', 'grant', 'lease_taken', 'lease_returned', 'overrun', 'charge', 'house_cost', 'reversal')
    ),
    idempotency_key TEXT NOT NULL UNIQUE,
    -- The customer in whose history the transfer appears; NULL for leases and charges, which are too many to list.
    history_of TEXT,
    created_us BIGINT NOT NULL
);
CREATE INDEX transfers_by_history ON transfers (history_of, created_us) WHERE history_of IS NOT NULL;

CREATE TABLE legs (
    transfer_id TEXT NOT NULL REFERENCES transfers (id),
    position BIGINT NOT NULL CHECK (position >= 0),
    ledger_account_id TEXT NOT NULL REFERENCES ledger_accounts (id),
    amount_nano BIGINT NOT NULL CHECK (amount_nano <> 0),
    PRIMARY KEY (transfer_id, position)
);

CREATE TABLE purchases (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    state TEXT NOT NULL CHECK (state IN ('created', 'open', 'paid', 'cancelled')),
    processor TEXT NOT NULL,
    processor_ref TEXT,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE INDEX purchases_by_account ON purchases (account_id, created_us);
-- One payment pays for one purchase.
CREATE UNIQUE INDEX purchases_by_payment ON purchases (processor, processor_ref) WHERE processor_ref IS NOT NULL;

CREATE TABLE webhook_events (
    processor TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_us BIGINT NOT NULL,
    PRIMARY KEY (processor, event_id)
);

-- No foreign keys: a cost that occurred is recorded whatever else is missing.
CREATE TABLE generations (
    id TEXT PRIMARY KEY,
    node_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    provider TEXT NOT NULL,
    surface TEXT NOT NULL,
    streamed BIGINT NOT NULL CHECK (streamed IN (0, 1)),
    prompt_tokens BIGINT NOT NULL CHECK (prompt_tokens >= 0),
    completion_tokens BIGINT NOT NULL CHECK (completion_tokens >= 0),
    reasoning_tokens BIGINT NOT NULL CHECK (reasoning_tokens >= 0),
    cache_read_tokens BIGINT NOT NULL CHECK (cache_read_tokens >= 0),
    cache_write_tokens BIGINT NOT NULL CHECK (cache_write_tokens >= 0),
    images BIGINT NOT NULL CHECK (images >= 0),
    estimated BIGINT NOT NULL CHECK (estimated IN (0, 1)),
    cost_nano BIGINT NOT NULL CHECK (cost_nano >= 0),
    house_cost_nano BIGINT NOT NULL CHECK (house_cost_nano >= 0),
    prices TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('completed', 'cancelled', 'failed', 'empty', 'recovered')),
    finish_reason TEXT,
    native_finish_reason TEXT,
    upstream_id TEXT,
    -- The UTC day of created_us, YYYY-MM-DD.
    day TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    first_token_us BIGINT,
    duration_us BIGINT NOT NULL,
    app_name TEXT,
    app_url TEXT,
    attempts TEXT NOT NULL,
    settled_us BIGINT NOT NULL,
    CHECK (cost_nano = 0 OR outcome IN ('completed', 'cancelled', 'recovered'))
);
CREATE INDEX generations_by_account ON generations (account_id, created_us);
CREATE INDEX generations_by_key ON generations (key_hash, created_us);

CREATE TABLE rollups_daily (
    day TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    prompt_tokens BIGINT NOT NULL CHECK (prompt_tokens >= 0),
    completion_tokens BIGINT NOT NULL CHECK (completion_tokens >= 0),
    reasoning_tokens BIGINT NOT NULL CHECK (reasoning_tokens >= 0),
    cost_nano BIGINT NOT NULL CHECK (cost_nano >= 0),
    PRIMARY KEY (day, model, provider)
);

CREATE TABLE account_rollups_daily (
    account_id TEXT NOT NULL,
    day TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    model TEXT NOT NULL,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    prompt_tokens BIGINT NOT NULL CHECK (prompt_tokens >= 0),
    completion_tokens BIGINT NOT NULL CHECK (completion_tokens >= 0),
    reasoning_tokens BIGINT NOT NULL CHECK (reasoning_tokens >= 0),
    cost_nano BIGINT NOT NULL CHECK (cost_nano >= 0),
    PRIMARY KEY (account_id, day, key_hash, model)
);
CREATE INDEX account_rollups_daily_by_key ON account_rollups_daily (key_hash, day);

CREATE TABLE app_rollups_daily (
    day TEXT NOT NULL,
    app_name TEXT NOT NULL,
    app_url TEXT NOT NULL,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    prompt_tokens BIGINT NOT NULL CHECK (prompt_tokens >= 0),
    completion_tokens BIGINT NOT NULL CHECK (completion_tokens >= 0),
    reasoning_tokens BIGINT NOT NULL CHECK (reasoning_tokens >= 0),
    cost_nano BIGINT NOT NULL CHECK (cost_nano >= 0),
    PRIMARY KEY (day, app_name, app_url)
);

-- Which catalog is loaded, one row; version 0 is the empty catalog.
CREATE TABLE catalog (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL CHECK (version >= 0),
    source TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    replaced_us BIGINT NOT NULL
);
INSERT INTO catalog (id, version, source, sha256, replaced_us) VALUES (1, 0, '', '', 0);

CREATE TABLE catalog_providers (
    slug TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    doc TEXT NOT NULL
);

CREATE TABLE catalog_models (
    slug TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    doc TEXT NOT NULL
);

CREATE TABLE catalog_endpoints (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL REFERENCES catalog_models (slug),
    provider TEXT NOT NULL REFERENCES catalog_providers (slug),
    position BIGINT NOT NULL,
    doc TEXT NOT NULL
);
