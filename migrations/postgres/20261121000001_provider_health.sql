-- The columns that operators know, with times as RFC 3339 text.
CREATE VIEW provider_health AS
SELECT
    provider_name,
    chain,
    provider_type,
    status,
    consecutive_fails,
    to_char(to_timestamp(last_success / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
        || '.' || lpad((last_success % 1000)::text, 3, '0') || 'Z' AS last_success,
    to_char(to_timestamp(last_error / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
        || '.' || lpad((last_error % 1000)::text, 3, '0') || 'Z' AS last_error,
    last_error_msg,
    circuit_state,
    to_char(to_timestamp(updated_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
        || '.' || lpad((updated_at % 1000)::text, 3, '0') || 'Z' AS updated_at
FROM provider_record;
