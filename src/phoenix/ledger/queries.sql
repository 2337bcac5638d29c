-- insert_entry --
-- Not while the oldest that waits is older than `behind_s`, once the log has begun: an id begins with
-- its time in milliseconds (UUIDv7). One statement, so that the check costs no round trip.
INSERT INTO ledger_outbox (id, entry)
SELECT %(id)s, %(entry)s
WHERE %(always)s
   OR (SELECT origin FROM ledger_state) IS NULL
   OR coalesce((
        SELECT ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint
        FROM ledger_outbox ORDER BY id LIMIT 1
      ) > (extract(epoch FROM clock_timestamp()) - %(behind_s)s) * 1000, true);

-- outbox --
SELECT id, entry FROM ledger_outbox ORDER BY id;

-- anything_waits --
SELECT EXISTS (SELECT FROM ledger_outbox) AS waits;

-- only_one --
-- Whoever holds it sequences, until the end of the transaction.
SELECT pg_try_advisory_xact_lock(%(key)s) AS alone;

-- state --
SELECT origin, size, root, frontier, epoch FROM ledger_state;

-- begin_epoch --
UPDATE ledger_state SET epoch = %(epoch)s WHERE epoch <= %(epoch)s;

-- name_log --
UPDATE ledger_state SET origin = %(origin)s WHERE origin IS NULL OR origin = %(origin)s;

-- move_entries --
-- The next of the outbox in the order of their ids, which is that of time. PostgreSQL moves them and
-- makes the leaves, so that bytes never leave it to come back changed. One row comes back.
WITH moved AS (
    INSERT INTO ledger_entries (seq, id, entry, leaf)
    SELECT %(size)s + row_number() OVER (ORDER BY id) - 1, id, entry,
           sha256('\x00'::bytea || entry)
    FROM (SELECT id, entry FROM ledger_outbox ORDER BY id LIMIT %(limit)s) AS waiting
    RETURNING seq, id, leaf
), gone AS (
    DELETE FROM ledger_outbox WHERE id IN (SELECT id FROM moved)
)
SELECT coalesce(string_agg(leaf, '' ORDER BY seq), '') AS leaves FROM moved;

-- insert_tile --
INSERT INTO ledger_tiles (level, n, data, root) VALUES (%(level)s, %(n)s, %(data)s, %(root)s);

-- advance --
UPDATE ledger_state
SET size = %(size)s, root = %(root)s, frontier = %(frontier)s
WHERE epoch = %(epoch)s AND size = %(old)s;

-- entries --
SELECT seq, id, entry, leaf FROM ledger_entries
WHERE seq >= %(first)s AND seq < %(end)s
ORDER BY seq;

-- span --
-- Entries and leaves of a span as three long values: a row for each would cost more than hashing it.
SELECT coalesce(string_agg(int4send(octet_length(entry)), '' ORDER BY seq), '') AS lengths,
       coalesce(string_agg(entry, '' ORDER BY seq), '') AS entries,
       coalesce(string_agg(leaf, '' ORDER BY seq), '') AS leaves,
       min(seq) AS first, max(seq) + 1 AS end
FROM ledger_entries
WHERE seq >= %(first)s AND seq < %(end)s;

-- leaves --
SELECT leaf AS hash FROM ledger_entries WHERE seq >= %(first)s AND seq < %(end)s ORDER BY seq;

-- tile_roots --
SELECT root AS hash FROM ledger_tiles
WHERE level = %(level)s AND n >= %(first)s AND n < %(end)s
ORDER BY n;

-- tile --
SELECT data FROM ledger_tiles WHERE level = %(level)s AND n = %(n)s;

-- tiles_since --
-- Those that were filled after the log had `size` entries, with a row's width of 256.
SELECT level, n, data, root FROM ledger_tiles
WHERE level = %(level)s AND n >= %(first)s AND n < %(end)s
ORDER BY n;

-- insert_checkpoint --
INSERT INTO ledger_checkpoints (size, root, note) VALUES (%(size)s, %(root)s, %(note)s);

-- last_checkpoint --
SELECT size, root, note, at FROM ledger_checkpoints ORDER BY size DESC LIMIT 1;

-- checkpoint_covering --
-- The first that covers an entry: the oldest evidence of it.
SELECT size, root, note, at FROM ledger_checkpoints
WHERE size > %(seq)s ORDER BY size LIMIT 1;

-- checkpoint_of --
SELECT size, root, note, at FROM ledger_checkpoints WHERE size = %(size)s;

-- checkpoints --
SELECT size, root, note, at FROM ledger_checkpoints
WHERE size > %(after)s ORDER BY size LIMIT %(limit)s;

-- where_is --
SELECT seq, entry FROM ledger_entries WHERE id = %(id)s;

-- waits_in_outbox --
SELECT entry FROM ledger_outbox WHERE id = %(id)s;

-- insert_key --
INSERT INTO ledger_keys (vkey, since) VALUES (%(vkey)s, %(since)s) ON CONFLICT DO NOTHING;

-- keys --
SELECT vkey, since, at FROM ledger_keys ORDER BY since, at;

-- status --
SELECT origin, size,
       (SELECT count(*) FROM (SELECT FROM ledger_outbox LIMIT 100000) AS few) AS waiting,
       (SELECT extract(epoch FROM clock_timestamp())::float8
             - ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0
        FROM ledger_outbox ORDER BY id LIMIT 1)::float8 AS oldest_s
FROM ledger_state;

-- facts_end --
SELECT coalesce(max(seq) + 1, 0) AS next FROM ledger_facts;

-- insert_fact --
INSERT INTO ledger_facts (seq, at, kind, actor, action, target, outcome, reason)
VALUES (%(seq)s, %(at)s, %(kind)s, %(actor)s, %(action)s, %(target)s, %(outcome)s, %(reason)s);

-- search --
-- Newest first. A filter that is null lets everything pass.
SELECT seq, id, at, who, what, target, why, result FROM audit_log
WHERE (%(actor)s::text IS NULL OR who = %(actor)s)
  AND (%(action)s::text IS NULL OR what = %(action)s)
  AND (%(target)s::text IS NULL OR target = %(target)s)
  AND (%(outcome)s::text IS NULL OR result = %(outcome)s)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
  AND (%(before)s::bigint IS NULL OR seq < %(before)s)
ORDER BY seq DESC LIMIT %(limit)s;

-- insert_anchor --
INSERT INTO ledger_anchors (size, kind) VALUES (%(size)s, %(kind)s) ON CONFLICT DO NOTHING;

-- last_anchor --
SELECT size, kind, at FROM ledger_anchors ORDER BY size DESC LIMIT 1;

-- anchor_covering --
SELECT size, kind, at FROM ledger_anchors WHERE size > %(seq)s ORDER BY size LIMIT 1;
