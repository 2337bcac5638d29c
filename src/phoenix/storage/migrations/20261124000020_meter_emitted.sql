-- migrate:up

CREATE TABLE meter_emitted (
    experiment_id text NOT NULL REFERENCES meter_subscriptions (experiment_id),
    arm           text NOT NULL CHECK (arm IN ('baseline', 'candidate')),
    body          bytea NOT NULL,  -- zlib of JSON: resources, their points and ticks; no values
    PRIMARY KEY (experiment_id, arm)
);
COMMENT ON TABLE meter_emitted IS 'What each arm emitted: attributes and metrics, without values and command lines.';

-- migrate:down

DROP TABLE meter_emitted;
