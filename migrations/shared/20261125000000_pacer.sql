-- What pacers keep over a restart: long windows, quotas, pauses. The key is a hash of origin and
-- credential, or of a limit group; nothing of a credential can be read from it.
CREATE TABLE pacer (
    pacer_key TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
