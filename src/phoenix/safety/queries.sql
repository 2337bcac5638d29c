-- get_kill --
SELECT epoch, killed, scope, reason, actor, at FROM kill_state WHERE one;

-- set_kill --
-- Compare-and-set on the epoch: of two who act at once, one is told to look again.
UPDATE kill_state
SET epoch = %(epoch)s, killed = %(killed)s, scope = %(scope)s, reason = %(reason)s,
    actor = %(actor)s, at = %(at)s
WHERE one AND epoch < %(epoch)s;
