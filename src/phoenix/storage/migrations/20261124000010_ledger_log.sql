-- migrate:up

-- Entries in their order. PostgreSQL hashes each itself: a leaf that is not its entry's is refused.
CREATE TABLE ledger_entries (
    seq   bigint PRIMARY KEY CHECK (seq >= 0),  -- the leaf's index: from 0, without gaps
    id    uuid NOT NULL UNIQUE,
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 1 AND 65535),
    leaf  bytea NOT NULL CHECK (leaf = sha256('\x00'::bytea || entry))
);
COMMENT ON TABLE ledger_entries IS 'The log: what was in the outbox, in its final order.';

-- Full tiles only: a partial one is the beginning of the full one, and is read from the row below.
CREATE TABLE ledger_tiles (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    n     bigint NOT NULL CHECK (n >= 0),
    data  bytea NOT NULL CHECK (octet_length(data) = 8192),  -- 256 hashes
    root  bytea NOT NULL CHECK (octet_length(root) = 32),    -- its hash in the tile above
    PRIMARY KEY (level, n)
);
ALTER TABLE ledger_tiles ALTER data SET STORAGE EXTERNAL;  -- hashes do not compress
COMMENT ON TABLE ledger_tiles IS 'The tree over the entries, as c2sp.org/tlog-tiles.';

CREATE TABLE ledger_state (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    origin   text,                                    -- the log's name; null before its first start
    size     bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    root     bytea NOT NULL DEFAULT sha256('') CHECK (octet_length(root) = 32),
    frontier bytea NOT NULL DEFAULT '' CHECK (octet_length(frontier) % 32 = 0),
    epoch    bigint NOT NULL DEFAULT 0                -- of the lease of whoever sequences
);
COMMENT ON TABLE ledger_state IS 'How far the log is: one row, changed in the same transaction.';
INSERT INTO ledger_state DEFAULT VALUES;

CREATE TABLE ledger_checkpoints (
    size bigint PRIMARY KEY CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note bytea NOT NULL,                              -- signed, as it is served
    at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ledger_checkpoints IS 'What was signed and published; each covers those before it.';

CREATE TRIGGER ledger_entries_append_only
    BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_entries_no_truncate
    BEFORE TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_tiles_append_only
    BEFORE UPDATE OR DELETE ON ledger_tiles
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_tiles_no_truncate
    BEFORE TRUNCATE ON ledger_tiles
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_checkpoints_append_only
    BEFORE UPDATE OR DELETE ON ledger_checkpoints
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_checkpoints_no_truncate
    BEFORE TRUNCATE ON ledger_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

CREATE FUNCTION ledger_state_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR NEW.size < OLD.size OR NEW.epoch < OLD.epoch THEN
        RAISE EXCEPTION 'the ledger is append-only: its state only grows'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ledger_state_grows
    BEFORE INSERT OR UPDATE OR DELETE ON ledger_state
    FOR EACH ROW EXECUTE FUNCTION ledger_state_grows();
CREATE TRIGGER ledger_state_no_truncate
    BEFORE TRUNCATE ON ledger_state
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

-- From the outbox may go what the log holds byte for byte, and nothing else.
CREATE FUNCTION ledger_outbox_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM gone LEFT JOIN ledger_entries AS kept USING (id)
        WHERE kept.entry IS DISTINCT FROM gone.entry
    ) THEN
        RAISE EXCEPTION 'the ledger is append-only: DELETE of an entry that is not in the log'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
DROP TRIGGER ledger_outbox_append_only ON ledger_outbox;
CREATE TRIGGER ledger_outbox_append_only
    BEFORE UPDATE ON ledger_outbox
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_outbox_moves
    AFTER DELETE ON ledger_outbox REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_outbox_moves();

-- A queue: rows live for milliseconds, and what they leave behind is in the way of the next read.
ALTER TABLE ledger_outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000
);

-- migrate:down

DROP TRIGGER ledger_outbox_moves ON ledger_outbox;
DROP TRIGGER ledger_outbox_append_only ON ledger_outbox;
CREATE TRIGGER ledger_outbox_append_only
    BEFORE UPDATE OR DELETE ON ledger_outbox
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
INSERT INTO ledger_outbox (id, entry) SELECT id, entry FROM ledger_entries;
DROP TABLE ledger_checkpoints;
DROP TABLE ledger_state;
DROP TABLE ledger_tiles;
DROP TABLE ledger_entries;
DROP FUNCTION ledger_outbox_moves();
DROP FUNCTION ledger_state_grows();
