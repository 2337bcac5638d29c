-- insert_entry --
INSERT INTO ledger_outbox (id, entry) VALUES (%(id)s, %(entry)s);

-- outbox --
SELECT id, entry FROM ledger_outbox ORDER BY id;
