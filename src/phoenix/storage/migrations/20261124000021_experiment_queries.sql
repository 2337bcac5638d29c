-- migrate:up

CREATE TABLE experiment_queries (
    experiment_id text PRIMARY KEY REFERENCES experiments (id),
    asked         jsonb NOT NULL,  -- queries of rules and dashboards, and their backend
    outcome       jsonb            -- what became of them; null until the evidence is complete
);
COMMENT ON TABLE experiment_queries IS 'The alerts, rules and panels that an experiment checks before a promotion.';

-- migrate:down

DROP TABLE experiment_queries;
