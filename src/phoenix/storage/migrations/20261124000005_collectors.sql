-- migrate:up

CREATE TABLE shadows (
    experiment_id text PRIMARY KEY,
    spec          jsonb NOT NULL,   -- configurations, and the tokens of a running shadow
    wanted        text NOT NULL CHECK (wanted IN ('run', 'stop')),
    status        jsonb,            -- written by the agent of the host
    updated_at    timestamptz NOT NULL
);
COMMENT ON TABLE shadows IS 'What a host should run for an experiment, and how it is.';

CREATE TABLE shadow_samples (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    experiment_id          text NOT NULL,
    member                 text NOT NULL,
    at                     timestamptz NOT NULL,
    state                  text NOT NULL,
    cpu_s                  double precision,
    rss_bytes              bigint,
    sent_points            bigint,
    exporter_failed_points bigint,
    enqueue_failed_points  bigint,
    queue_size             bigint,
    total_cpu_s            double precision,
    restarts               bigint,           -- how often it ended by itself, since its agent started
    UNIQUE (experiment_id, member, at)
);
COMMENT ON TABLE shadow_samples IS 'What each collector of a shadow used, once an interval.';
CREATE INDEX samples_of_an_experiment ON shadow_samples (experiment_id, id);

-- migrate:down

DROP TABLE shadow_samples;
DROP TABLE shadows;
