-- migrate:up

CREATE TYPE experiment_state AS ENUM (
    'pending',       -- created, waiting for the controller; may be cancelled
    'initializing',  -- pending -> here: configurations rendered, checked, deployed as a shadow
    'running',       -- initializing -> here: both arms measured; the finer step is in `phase`
    'analyzing',     -- running -> here: evidence complete, verdict being written
    'completed',     -- analyzing -> here: a verdict exists, whatever it says; final
    'failed',        -- a technical error, told in error_message; final
    'cancelled'      -- a person stopped it before a verdict; final
);

CREATE TABLE experiments (
    id                 text PRIMARY KEY CHECK (id ~ '^exp-[a-z0-9]{8}$'),
    name               text NOT NULL CHECK (char_length(name) BETWEEN 3 AND 100),
    description        text NOT NULL DEFAULT '' CHECK (char_length(description) <= 500),
    state              experiment_state NOT NULL DEFAULT 'pending',
    phase              text,            -- finer than the state; null once it is final
    baseline_pipeline  text NOT NULL,
    candidate_pipeline text NOT NULL,
    target_nodes       jsonb NOT NULL,
    config             jsonb NOT NULL,   -- the frozen specification
    spec_sha256        text NOT NULL,    -- of its canonical bytes
    change_sha256      text NOT NULL,    -- of both arms: retries of one change share its error budget
    live               jsonb NOT NULL DEFAULT '{}',  -- what a watcher sees while it runs
    verdict            jsonb,
    error_message      text,             -- set exactly when state is failed
    metadata           jsonb NOT NULL DEFAULT '{}',
    created_by         text NOT NULL,
    tenant_id          text NOT NULL DEFAULT 'default',
    version            bigint NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    started_at         timestamptz,
    completed_at       timestamptz,
    UNIQUE (tenant_id, name),
    CHECK ((state = 'failed') = (error_message IS NOT NULL))
);
COMMENT ON TABLE experiments IS 'Baseline against candidate on the same scrape of the same hosts.';
CREATE INDEX experiments_by_state ON experiments (state, created_at DESC);
CREATE INDEX experiments_by_change ON experiments (change_sha256);

CREATE TABLE experiment_transitions (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    experiment_id text NOT NULL REFERENCES experiments (id),
    at            timestamptz NOT NULL,
    from_state    experiment_state,
    to_state      experiment_state NOT NULL,
    phase         text,
    reason        text NOT NULL,
    actor         text NOT NULL
);
COMMENT ON TABLE experiment_transitions IS 'Every step of every experiment, in order, with its reason.';
CREATE INDEX transitions_of_an_experiment ON experiment_transitions (experiment_id, id);

CREATE TABLE experiment_looks (
    experiment_id text NOT NULL REFERENCES experiments (id),
    number        bigint NOT NULL,
    at            timestamptz NOT NULL,
    after_tick    bigint NOT NULL,
    statistics    jsonb NOT NULL,   -- sufficient statistics: the verdict can be computed again from them
    finished      boolean NOT NULL, -- no more evidence was to come
    rules_version text NOT NULL,    -- of the rules that judged
    outcome       text,             -- null while the evidence is not enough
    PRIMARY KEY (experiment_id, number)
);
COMMENT ON TABLE experiment_looks IS 'Each evaluation of the evidence, with the numbers it saw.';

CREATE TABLE experiment_revisions (
    experiment_id text NOT NULL REFERENCES experiments (id),
    role          text NOT NULL,
    pipeline      text NOT NULL,
    config        text NOT NULL,
    sha256        text NOT NULL,
    PRIMARY KEY (experiment_id, role)
);
COMMENT ON TABLE experiment_revisions IS 'The exact collector configurations that an experiment ran, and would deploy.';

CREATE TABLE idempotency_keys (
    principal    text NOT NULL,
    key          text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    request_hash text NOT NULL,
    answer       jsonb,             -- what was answered; null only inside the claiming transaction
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
COMMENT ON TABLE idempotency_keys IS 'One row per key of a mutation: the same key never acts twice.';

-- migrate:down

DROP TABLE idempotency_keys;
DROP TABLE experiment_revisions;
DROP TABLE experiment_looks;
DROP TABLE experiment_transitions;
DROP TABLE experiments;
DROP TYPE experiment_state;
