-- migrate:up

CREATE TABLE kill_state (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch  bigint NOT NULL CHECK (epoch >= 0),  -- grows with every kill and every revive
    killed boolean NOT NULL,
    scope  text NOT NULL CHECK (scope IN ('all', 'experiments', 'payments', 'gate')),
    reason text NOT NULL,
    actor  text NOT NULL,
    at     timestamptz NOT NULL
);
COMMENT ON TABLE kill_state IS 'Whether anything may proceed: one row, fenced by its epoch.';
INSERT INTO kill_state (epoch, killed, scope, reason, actor, at)
VALUES (0, false, 'all', 'never killed', 'system', now());

-- migrate:down

DROP TABLE kill_state;
