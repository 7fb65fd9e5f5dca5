-- How far each webhook is: everything up to `cursor_id` was delivered, passed over, or not asked for.
CREATE TABLE webhooks (
    name TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    cursor_id BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    last_success BIGINT,
    last_error BIGINT,
    last_error_msg TEXT,
    next_attempt BIGINT,
    gone BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
