-- Whether there was ever a transaction with the address, as far as is known: 1 stays 1. A key's
-- addresses are asked for up to the last used one and a gap behind it.
ALTER TABLE balances ADD COLUMN used BIGINT NOT NULL DEFAULT 0;

UPDATE balances SET used = 1
WHERE amount <> '0'
    OR EXISTS (
        SELECT 1 FROM history
        WHERE history.chain = balances.chain AND history.address = balances.address
            AND history.asset = balances.asset AND history.amount <> '0'
    );
