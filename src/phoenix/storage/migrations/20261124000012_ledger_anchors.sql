-- migrate:up

CREATE TABLE ledger_anchors (
    size bigint NOT NULL CHECK (size > 0),
    kind text NOT NULL,                             -- what keeps it: 'folder' or 'git'
    at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (size, kind)
);
COMMENT ON TABLE ledger_anchors IS 'Which checkpoints are kept outside of this database.';
CREATE TRIGGER ledger_anchors_append_only
    BEFORE UPDATE OR DELETE ON ledger_anchors
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_anchors_no_truncate
    BEFORE TRUNCATE ON ledger_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

-- migrate:down

DROP TABLE ledger_anchors;
