-- migrate:up

CREATE TABLE ledger_keys (
    vkey  text PRIMARY KEY,                         -- as c2sp.org/signed-note writes it
    since bigint NOT NULL CHECK (since >= 0),       -- the size of the log when it began to sign
    at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ledger_keys IS 'The public keys of the log, for everybody; trust yours, not these.';
CREATE TRIGGER ledger_keys_append_only
    BEFORE UPDATE OR DELETE ON ledger_keys
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_keys_no_truncate
    BEFORE TRUNCATE ON ledger_keys
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

-- What the entries say, to be searched. Derived: it can be deleted, and is read again from the log.
CREATE TABLE ledger_facts (
    seq     bigint PRIMARY KEY,
    at      timestamptz,                            -- null, as the rest, where an entry says none
    kind    text,
    actor   text,
    action  text,
    target  text,
    outcome text,
    reason  text
);
CREATE INDEX ledger_facts_of_target ON ledger_facts (target, seq DESC);
CREATE INDEX ledger_facts_of_actor ON ledger_facts (actor, seq DESC);
CREATE INDEX ledger_facts_of_action ON ledger_facts (action, seq DESC);
COMMENT ON TABLE ledger_facts IS 'Words of the entries, for searches; the entries are the truth.';

CREATE VIEW audit_log AS
SELECT facts.seq, entries.id, facts.at, facts.actor AS who, facts.action AS what, facts.target,
       facts.reason AS why, facts.outcome AS result
FROM ledger_facts AS facts JOIN ledger_entries AS entries USING (seq);
COMMENT ON VIEW audit_log IS 'Who did what, when, why, and with which result: the ledger as a table.';

-- migrate:down

DROP VIEW audit_log;
DROP TABLE ledger_facts;
DROP TABLE ledger_keys;
