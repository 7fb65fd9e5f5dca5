-- How each alert stands. `amount` is the sum of what is known of its cells.
CREATE TABLE alerts (
    name TEXT NOT NULL PRIMARY KEY,
    chain TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unknown', 'ok', 'pending', 'firing')),
    decided BIGINT NOT NULL,
    amount TEXT NOT NULL,
    cells BIGINT NOT NULL,
    unknown BIGINT NOT NULL,
    message TEXT,
    met_since BIGINT,
    fired_at BIGINT,
    resolved_at BIGINT,
    evaluated_at BIGINT NOT NULL
);
