-- acquire_lease --
-- One statement: the row is taken when it is new, ours, or expired.
INSERT INTO leases AS held (name, holder, epoch, expires_at)
VALUES (%(name)s, %(holder)s, 1, now() + make_interval(secs => %(ttl_s)s))
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder,
    epoch = held.epoch + CASE WHEN held.holder = excluded.holder THEN 0 ELSE 1 END,
    expires_at = excluded.expires_at
WHERE held.holder = excluded.holder OR held.expires_at < now()
RETURNING epoch;

-- release_lease --
UPDATE leases SET expires_at = now() - interval '1 second'
WHERE name = %(name)s AND holder = %(holder)s;
