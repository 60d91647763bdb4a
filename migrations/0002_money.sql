-- Lots, refunds, disputes, automatic top-ups, budgets, free requests, fencing of nodes. The rules of 0001 hold: BIGINT and
-- TEXT only, one text for both databases.

-- SQLite cannot change a CHECK: tables whose lists of words grow are made anew under another name, filled, and renamed
-- when the old ones are gone, children first. Foreign keys follow the renaming on both databases.

CREATE TABLE next_ledger_accounts (
    id TEXT CONSTRAINT ledger_accounts_id PRIMARY KEY,
    kind TEXT NOT NULL CHECK (
        kind IN (
            'customer', 'escrow', 'provider_payable', 'processor_clearing', 'house_cost', 'promotions',
            'frozen', 'fees', 'processor_costs', 'bank'
        )
    ),
    account_id TEXT,
    node_id TEXT,
    balance_nano BIGINT NOT NULL CHECK (balance_nano BETWEEN -9000000000000000000 AND 9000000000000000000),
    CHECK (kind NOT IN ('escrow', 'frozen') OR balance_nano >= 0),
    CHECK ((kind IN ('customer', 'escrow', 'frozen')) = (account_id IS NOT NULL)),
    CHECK ((kind = 'escrow') = (node_id IS NOT NULL))
);

CREATE TABLE next_transfers (
    id TEXT CONSTRAINT transfers_id PRIMARY KEY,
    kind TEXT NOT NULL CHECK (
        kind IN (
            'purchase', 'grant', 'lease_taken', 'lease_returned', 'overrun', 'charge', 'house_cost', 'reversal',
            'freeze', 'release', 'refund', 'dispute_withdrawn', 'dispute_reinstated', 'write_off', 'expiry',
            'payout', 'invoice_paid'
        )
    ),
    idempotency_key TEXT NOT NULL CONSTRAINT transfers_once UNIQUE,
    -- SHA-256 of kind and legs: the same key with another body is an error. NULL in transfers older than this column.
    request_hash TEXT,
    -- The customer in whose history the transfer appears; NULL for leases and charges, which are too many to list.
    history_of TEXT,
    created_us BIGINT NOT NULL
);

CREATE TABLE next_legs (
    transfer_id TEXT NOT NULL REFERENCES next_transfers (id),
    position BIGINT NOT NULL CHECK (position >= 0),
    ledger_account_id TEXT NOT NULL REFERENCES next_ledger_accounts (id),
    amount_nano BIGINT NOT NULL CHECK (amount_nano <> 0),
    CONSTRAINT legs_place PRIMARY KEY (transfer_id, position)
);

CREATE TABLE next_purchases (
    id TEXT CONSTRAINT purchases_id PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    fee_nano BIGINT NOT NULL CHECK (fee_nano >= 0),
    kind TEXT NOT NULL CHECK (kind IN ('checkout', 'top_up')),
    state TEXT NOT NULL CHECK (state IN ('created', 'open', 'pending', 'paid', 'cancelled', 'failed')),
    processor TEXT NOT NULL,
    processor_ref TEXT,
    payment TEXT,
    -- Sum of the refunds that have not failed.
    refunded_nano BIGINT NOT NULL DEFAULT 0 CHECK (refunded_nano >= 0),
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);

INSERT INTO next_ledger_accounts (id, kind, account_id, node_id, balance_nano)
SELECT id, kind, account_id, node_id, balance_nano FROM ledger_accounts;

INSERT INTO next_transfers (id, kind, idempotency_key, request_hash, history_of, created_us)
SELECT id, kind, idempotency_key, NULL, history_of, created_us FROM transfers;

INSERT INTO next_legs (transfer_id, position, ledger_account_id, amount_nano)
SELECT transfer_id, position, ledger_account_id, amount_nano FROM legs;

INSERT INTO next_purchases
    (id, account_id, user_id, amount_nano, fee_nano, kind, state, processor, processor_ref, created_us, updated_us)
SELECT id, account_id, user_id, amount_nano, 0, 'checkout', state, processor, processor_ref, created_us, updated_us
FROM purchases;

DROP TABLE legs;
DROP TABLE transfers;
DROP TABLE ledger_accounts;
DROP TABLE purchases;
ALTER TABLE next_ledger_accounts RENAME TO ledger_accounts;
ALTER TABLE next_transfers RENAME TO transfers;
ALTER TABLE next_legs RENAME TO legs;
ALTER TABLE next_purchases RENAME TO purchases;

CREATE INDEX ledger_accounts_by_owner ON ledger_accounts (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX ledger_accounts_by_node ON ledger_accounts (node_id) WHERE node_id IS NOT NULL;
CREATE INDEX transfers_by_history ON transfers (history_of, created_us) WHERE history_of IS NOT NULL;
CREATE INDEX purchases_by_account ON purchases (account_id, created_us);
CREATE INDEX purchases_unfinished ON purchases (processor, created_us) WHERE state IN ('created', 'open', 'pending');
-- One checkout, and one payment, for one purchase.
CREATE UNIQUE INDEX purchases_by_reference ON purchases (processor, processor_ref) WHERE processor_ref IS NOT NULL;
CREATE UNIQUE INDEX purchases_by_payment ON purchases (processor, payment) WHERE payment IS NOT NULL;
CREATE UNIQUE INDEX purchases_one_top_up ON purchases (account_id)
WHERE kind = 'top_up' AND state IN ('created', 'open', 'pending');

-- What remains in a customer's lots is what the customer has: customer and escrow accounts together, or nothing in debt.
CREATE TABLE lots (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('promotional', 'paid')),
    -- Idempotency key of the transfer that brought it.
    source_key TEXT NOT NULL UNIQUE,
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    remaining_nano BIGINT NOT NULL CHECK (remaining_nano BETWEEN 0 AND amount_nano),
    expires_us BIGINT,
    created_us BIGINT NOT NULL
);
CREATE INDEX lots_by_account ON lots (account_id);
CREATE INDEX lots_by_expiry ON lots (expires_us) WHERE expires_us IS NOT NULL;

-- Append-only: remaining = amount + the sum of its entries.
CREATE TABLE lot_entries (
    lot_id TEXT NOT NULL REFERENCES lots (id),
    -- Idempotency key of the transfer; settle:{first generation} for all charges of one settlement.
    key TEXT NOT NULL,
    amount_nano BIGINT NOT NULL CHECK (amount_nano <> 0),
    created_us BIGINT NOT NULL,
    PRIMARY KEY (lot_id, key)
);

-- What was bought and given so far, as if it had been spent in the order that holds from now on.
INSERT INTO lots (id, account_id, kind, source_key, amount_nano, remaining_nano, expires_us, created_us)
WITH credits AS (
    SELECT t.id, t.history_of AS account_id, t.idempotency_key, t.created_us, SUM(l.amount_nano) AS amount,
           CASE WHEN t.kind = 'purchase' THEN 1 ELSE 0 END AS is_paid
    FROM transfers t JOIN legs l ON l.transfer_id = t.id AND l.ledger_account_id = 'customer:' || t.history_of
    GROUP BY t.id, t.history_of, t.idempotency_key, t.created_us, t.kind
    HAVING SUM(l.amount_nano) > 0
),
in_order AS (
    SELECT c.*,
           SUM(c.amount) OVER (
               PARTITION BY c.account_id ORDER BY c.is_paid, c.created_us, c.id ROWS UNBOUNDED PRECEDING
           ) AS up_to,
           SUM(c.amount) OVER (PARTITION BY c.account_id) AS total
    FROM credits c
),
balances AS (
    SELECT account_id, CASE WHEN SUM(balance_nano) > 0 THEN SUM(balance_nano) ELSE 0 END AS balance
    FROM ledger_accounts WHERE kind IN ('customer', 'escrow') GROUP BY account_id
),
spent AS (
    SELECT o.*, o.up_to - (o.total - b.balance) AS beyond
    FROM in_order o JOIN balances b ON b.account_id = o.account_id
)
SELECT 'lot_' || SUBSTR(id, 4), account_id, CASE WHEN is_paid = 1 THEN 'paid' ELSE 'promotional' END, idempotency_key,
       amount, CASE WHEN beyond <= 0 THEN 0 WHEN beyond >= amount THEN amount ELSE beyond END, NULL, created_us
FROM spent;

INSERT INTO lot_entries (lot_id, key, amount_nano, created_us)
SELECT id, 'migration:0002', remaining_nano - amount_nano, created_us FROM lots WHERE remaining_nano < amount_nano;

CREATE TABLE refunds (
    id TEXT PRIMARY KEY,
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    account_id TEXT NOT NULL,
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    state TEXT NOT NULL CHECK (state IN ('requested', 'sent', 'succeeded', 'failed')),
    processor TEXT NOT NULL,
    processor_ref TEXT,
    by_customer BIGINT NOT NULL CHECK (by_customer IN (0, 1)),
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX refunds_by_reference ON refunds (processor, processor_ref) WHERE processor_ref IS NOT NULL;
CREATE INDEX refunds_by_purchase ON refunds (purchase_id);
CREATE INDEX refunds_by_account ON refunds (account_id, created_us);
CREATE INDEX refunds_unsent ON refunds (created_us) WHERE state = 'requested';

-- The flags say which transfers were posted.
CREATE TABLE disputes (
    processor TEXT NOT NULL,
    reference TEXT NOT NULL,
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    account_id TEXT NOT NULL,
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    fee_nano BIGINT NOT NULL CHECK (fee_nano >= 0),
    status TEXT NOT NULL CHECK (
        status IN ('warning', 'needs_response', 'under_review', 'warning_closed', 'lost', 'won')
    ),
    frozen BIGINT NOT NULL CHECK (frozen IN (0, 1)),
    withdrawn BIGINT NOT NULL CHECK (withdrawn IN (0, 1)),
    reinstated BIGINT NOT NULL CHECK (reinstated IN (0, 1)),
    released BIGINT NOT NULL CHECK (released IN (0, 1)),
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (processor, reference),
    CHECK (frozen = 1 OR (withdrawn = 0 AND reinstated = 0 AND released = 0)),
    CHECK (withdrawn = 1 OR reinstated = 0)
);
CREATE INDEX disputes_by_purchase ON disputes (purchase_id);
CREATE INDEX disputes_by_account ON disputes (account_id, created_us);

CREATE TABLE fraud_warnings (
    processor TEXT NOT NULL,
    reference TEXT NOT NULL,
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    account_id TEXT NOT NULL,
    -- What was frozen for it.
    amount_nano BIGINT NOT NULL CHECK (amount_nano >= 0),
    state TEXT NOT NULL CHECK (state IN ('noted', 'held', 'released')),
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (processor, reference)
);
CREATE INDEX fraud_warnings_by_purchase ON fraud_warnings (purchase_id);

CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    expires_us BIGINT,
    note TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX grants_by_time ON grants (created_us);

CREATE TABLE codes (
    hash TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    expires_us BIGINT,
    -- For how many days the credits last that the code gives; NULL: for ever.
    lot_days BIGINT CHECK (lot_days > 0),
    redemptions BIGINT NOT NULL CHECK (redemptions >= 0),
    redemptions_max BIGINT NOT NULL CHECK (redemptions_max > 0),
    created_us BIGINT NOT NULL,
    CHECK (redemptions <= redemptions_max)
);

CREATE TABLE code_redemptions (
    code_hash TEXT NOT NULL REFERENCES codes (hash),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    created_us BIGINT NOT NULL,
    PRIMARY KEY (code_hash, account_id)
);

CREATE TABLE topup_settings (
    account_id TEXT PRIMARY KEY REFERENCES accounts (id),
    enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    threshold_nano BIGINT NOT NULL CHECK (threshold_nano >= 0),
    amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
    daily_cap_nano BIGINT NOT NULL CHECK (daily_cap_nano >= 0),
    failures BIGINT NOT NULL CHECK (failures >= 0),
    method_processor TEXT,
    customer_ref TEXT,
    method_ref TEXT,
    method_brand TEXT,
    method_last4 TEXT,
    updated_us BIGINT NOT NULL,
    CHECK ((method_ref IS NULL) = (method_processor IS NULL)),
    CHECK ((method_ref IS NULL) = (customer_ref IS NULL))
);

-- How far jobs that follow others have come.
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_us BIGINT NOT NULL
);

CREATE TABLE provider_invoices (
    provider TEXT NOT NULL,
    -- YYYY-MM.
    period TEXT NOT NULL,
    amount_nano BIGINT NOT NULL CHECK (amount_nano >= 0),
    imported_us BIGINT NOT NULL,
    PRIMARY KEY (provider, period)
);

-- Budgets are limits of accounts, kept like those of keys.
ALTER TABLE accounts ADD COLUMN budget_nano BIGINT CHECK (budget_nano >= 0);
ALTER TABLE accounts ADD COLUMN budget_reset TEXT CHECK (budget_reset IN ('daily', 'weekly', 'monthly'));

-- What an owner (a key, by its hash, or account:{id}) has used, and what nodes have taken to spend from memory, in one
-- window of time. A row appears with the first lease in its window and is exact from then on, whatever becomes of the limit.
CREATE TABLE spend_limits (
    owner TEXT NOT NULL,
    period_start_us BIGINT NOT NULL,
    period_end_us BIGINT NOT NULL,
    used_nano BIGINT NOT NULL CHECK (used_nano >= 0),
    leased_nano BIGINT NOT NULL CHECK (leased_nano >= 0),
    PRIMARY KEY (owner, period_start_us, period_end_us),
    CHECK (period_start_us < period_end_us)
);

CREATE TABLE spend_leases (
    node_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    period_start_us BIGINT NOT NULL,
    period_end_us BIGINT NOT NULL,
    leased_nano BIGINT NOT NULL CHECK (leased_nano >= 0),
    PRIMARY KEY (node_id, owner, period_start_us, period_end_us),
    FOREIGN KEY (owner, period_start_us, period_end_us) REFERENCES spend_limits (owner, period_start_us, period_end_us)
);

INSERT INTO spend_limits (owner, period_start_us, period_end_us, used_nano, leased_nano)
SELECT key_hash, period_start_us, period_end_us, used_nano, leased_nano FROM key_limits;
INSERT INTO spend_leases (node_id, owner, period_start_us, period_end_us, leased_nano)
SELECT node_id, key_hash, period_start_us, period_end_us, leased_nano FROM key_leases;
DROP TABLE key_leases;
DROP TABLE key_limits;

-- Requests to free models that nodes have taken to serve on one UTC day (YYYY-MM-DD).
CREATE TABLE free_requests (
    account_id TEXT NOT NULL,
    day TEXT NOT NULL,
    taken BIGINT NOT NULL CHECK (taken >= 0),
    PRIMARY KEY (account_id, day)
);
CREATE INDEX free_requests_by_day ON free_requests (day);

-- A node counts beats; when they stand still, another fences it and gives its leases back to their owners.
ALTER TABLE nodes ADD COLUMN beats BIGINT NOT NULL DEFAULT 0 CHECK (beats >= 0);
ALTER TABLE nodes ADD COLUMN fenced BIGINT NOT NULL DEFAULT 0 CHECK (fenced IN (0, 1));

-- Settled by a node whose lease was gone: the house bears what the customer's balance did not cover.
ALTER TABLE generations ADD COLUMN late BIGINT NOT NULL DEFAULT 0 CHECK (late IN (0, 1));
