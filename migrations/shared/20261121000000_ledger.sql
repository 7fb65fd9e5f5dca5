-- The ledger. Columns are TEXT and BIGINT only: times are milliseconds since 1970, amounts are
-- decimal text of the smallest unit, `amount_key` is the same number padded to 78 digits so that
-- text order is numeric order. Nothing here is ever a floating-point number.

-- Numbers that only grow. A row's lock is held until its transaction ends, so that ids taken from
-- it follow the order of commits.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('event', 0), ('history', 0);

-- One row per pass.
CREATE TABLE scan_state (
    id TEXT NOT NULL PRIMARY KEY,
    chain TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('set', 'spot')),
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'complete', 'cancelled', 'gave_up', 'broken')),
    resumable BIGINT NOT NULL,
    message TEXT,
    cells BIGINT NOT NULL,
    asked BIGINT NOT NULL,
    known BIGINT NOT NULL,
    unknown BIGINT NOT NULL,
    invalid BIGINT NOT NULL,
    funded BIGINT NOT NULL,
    height_min BIGINT,
    height_max BIGINT,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX scan_state_by_chain ON scan_state (chain, started_at);

-- The last good value of every cell. Only a known reading gets here.
CREATE TABLE balances (
    chain TEXT NOT NULL,
    address TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount TEXT NOT NULL CHECK (amount <> ''),
    amount_key TEXT NOT NULL CHECK (length(amount_key) = 78),
    pending TEXT,
    decimals BIGINT NOT NULL,
    symbol TEXT NOT NULL,
    commitment TEXT NOT NULL,
    scope TEXT NOT NULL,
    provider TEXT NOT NULL,
    height BIGINT,
    block_hash TEXT,
    observed_at BIGINT NOT NULL,
    pass_id TEXT NOT NULL,
    PRIMARY KEY (chain, address, asset)
);

-- One row per change of a balance; the first known value has no `previous`.
CREATE TABLE history (
    id BIGINT NOT NULL PRIMARY KEY,
    chain TEXT NOT NULL,
    address TEXT NOT NULL,
    asset TEXT NOT NULL,
    previous TEXT,
    amount TEXT NOT NULL CHECK (amount <> ''),
    amount_key TEXT NOT NULL CHECK (length(amount_key) = 78),
    decimals BIGINT NOT NULL,
    symbol TEXT NOT NULL,
    commitment TEXT NOT NULL,
    provider TEXT NOT NULL,
    height BIGINT,
    block_hash TEXT,
    observed_at BIGINT NOT NULL,
    pass_id TEXT NOT NULL
);
CREATE INDEX history_by_cell ON history (chain, address, asset, id);

-- Cells that a pass does not know.
CREATE TABLE holes (
    pass_id TEXT NOT NULL,
    address TEXT NOT NULL,
    asset TEXT NOT NULL,
    chain TEXT NOT NULL,
    class TEXT NOT NULL,
    message TEXT NOT NULL,
    providers TEXT NOT NULL,
    final BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (pass_id, address, asset)
);

-- Outbox, replay of the event stream and queue of the webhooks.
CREATE TABLE events (
    id BIGINT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    chain TEXT,
    scan TEXT,
    data TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- What the view `provider_health` shows, and what the gate keeps over a restart.
CREATE TABLE provider_record (
    chain TEXT NOT NULL,
    provider_name TEXT NOT NULL,
    provider_type TEXT NOT NULL DEFAULT 'scan' CHECK (provider_type IN ('scan', 'broadcast')),
    status TEXT NOT NULL DEFAULT 'healthy' CHECK (status IN ('healthy', 'degraded', 'down')),
    consecutive_fails BIGINT NOT NULL DEFAULT 0,
    last_success BIGINT,
    last_error BIGINT,
    last_error_msg TEXT,
    circuit_state TEXT NOT NULL DEFAULT 'closed' CHECK (circuit_state IN ('closed', 'open', 'half_open')),
    updated_at BIGINT NOT NULL,
    persisted TEXT,
    PRIMARY KEY (chain, provider_name, provider_type)
);

-- Real HTTP attempts per UTC day (`2026-11-21`).
CREATE TABLE usage_daily (
    day TEXT NOT NULL,
    chain TEXT NOT NULL,
    provider_name TEXT NOT NULL,
    provider_type TEXT NOT NULL,
    requests BIGINT NOT NULL,
    successes BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    rate_limited BIGINT NOT NULL,
    PRIMARY KEY (day, chain, provider_name, provider_type)
);

-- Imported address sets: `address` as the list has it, `canonical` as the plugin writes it.
CREATE TABLE addresses (
    chain TEXT NOT NULL,
    set_name TEXT NOT NULL,
    idx BIGINT NOT NULL,
    address TEXT NOT NULL,
    canonical TEXT NOT NULL,
    label TEXT,
    PRIMARY KEY (chain, set_name, idx),
    UNIQUE (chain, set_name, canonical)
);

-- Limits that a provider taught, until they expire.
CREATE TABLE learned (
    chain TEXT NOT NULL,
    provider TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (chain, provider, key)
);
