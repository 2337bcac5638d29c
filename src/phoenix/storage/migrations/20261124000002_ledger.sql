-- migrate:up

CREATE TABLE ledger_outbox (
    id    uuid PRIMARY KEY,                 -- UUIDv7 made by the writer; also the receipt's
    txid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 1 AND 65535)
);
COMMENT ON TABLE ledger_outbox IS
    'Entries in their final bytes, appended in the transaction of the change they tell of.';

CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER ledger_outbox_append_only
    BEFORE UPDATE OR DELETE ON ledger_outbox
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_outbox_no_truncate
    BEFORE TRUNCATE ON ledger_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

-- migrate:down

DROP TABLE ledger_outbox;
DROP FUNCTION ledger_append_only();
