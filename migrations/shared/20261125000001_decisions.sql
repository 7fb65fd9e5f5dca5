-- The newest decisions of the pools: who got which call, and why others did not. Kept short.
CREATE TABLE decisions (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    chain TEXT NOT NULL,
    scan TEXT NOT NULL,
    provider TEXT,
    data TEXT NOT NULL
);
CREATE INDEX decisions_by_chain ON decisions (chain, id);
