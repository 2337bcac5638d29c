-- migrate:up

CREATE TABLE meter_subscriptions (
    experiment_id    text PRIMARY KEY CHECK (experiment_id ~ '^exp-[a-z0-9]{8}$'),
    interval_s       double precision NOT NULL CHECK (interval_s > 0),
    critical         jsonb NOT NULL,   -- [{kind, value, source}]
    token_baseline   text NOT NULL,    -- SHA-256 of the arm's token, hexadecimal
    token_candidate  text NOT NULL,
    top_k            bigint NOT NULL CHECK (top_k BETWEEN 1 AND 100),
    shared_scrape    boolean NOT NULL DEFAULT true,  -- both arms carry the same scrape
    active           boolean NOT NULL DEFAULT true,
    arm_states       jsonb NOT NULL DEFAULT '{}',  -- arm -> alive | dead | paused | reloading
    run_baseline     bytea,            -- sketch of the distinct series so far
    run_candidate    bytea,
    created_at       timestamptz NOT NULL
);
COMMENT ON TABLE meter_subscriptions IS 'What the meter counts, and the hashes of the tokens that may send.';

CREATE TABLE ticks (
    experiment_id text NOT NULL REFERENCES meter_subscriptions (experiment_id),
    tick          bigint NOT NULL,     -- intervals since 1970
    at            timestamptz NOT NULL,
    summary       jsonb NOT NULL,
    excluded      text,                -- why it is no evidence; null when it is
    PRIMARY KEY (experiment_id, tick)
);
COMMENT ON TABLE ticks IS 'Closed ticks: what both arms sent in one interval. Never changed.';

CREATE TABLE meter_names (
    experiment_id   text NOT NULL REFERENCES meter_subscriptions (experiment_id),
    name            text NOT NULL,
    baseline_ticks  bigint NOT NULL,
    candidate_ticks bigint NOT NULL,
    cpu_s           double precision NOT NULL,
    memory_bytes    double precision NOT NULL,
    critical        boolean NOT NULL,
    PRIMARY KEY (experiment_id, name)
);
COMMENT ON TABLE meter_names IS 'Executable names seen in an experiment, and in how many ticks of each arm.';

-- migrate:down

DROP TABLE meter_names;
DROP TABLE ticks;
DROP TABLE meter_subscriptions;
