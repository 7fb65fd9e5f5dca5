-- The columns that operators know, with times as RFC 3339 text.
CREATE VIEW provider_health AS
SELECT
    provider_name,
    chain,
    provider_type,
    status,
    consecutive_fails,
    strftime('%Y-%m-%dT%H:%M:%S', last_success / 1000, 'unixepoch')
        || printf('.%03dZ', last_success % 1000) AS last_success,
    strftime('%Y-%m-%dT%H:%M:%S', last_error / 1000, 'unixepoch')
        || printf('.%03dZ', last_error % 1000) AS last_error,
    last_error_msg,
    circuit_state,
    strftime('%Y-%m-%dT%H:%M:%S', updated_at / 1000, 'unixepoch')
        || printf('.%03dZ', updated_at % 1000) AS updated_at
FROM provider_record;
