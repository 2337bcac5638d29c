-- migrate:up

CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    epoch      bigint NOT NULL CHECK (epoch > 0),  -- grows at every change of holder
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE leases IS 'Who runs each loop: exactly one at a time, fenced by an epoch.';

-- migrate:down

DROP TABLE leases;
