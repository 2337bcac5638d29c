-- insert_experiment --
INSERT INTO experiments (
    id, name, description, state, phase, baseline_pipeline, candidate_pipeline, target_nodes,
    config, spec_sha256, change_sha256, created_by, created_at, updated_at
)
VALUES (
    %(id)s, %(name)s, %(description)s, 'pending', 'validated', %(baseline_pipeline)s,
    %(candidate_pipeline)s, %(target_nodes)s, %(config)s, %(spec_sha256)s, %(change_sha256)s,
    %(created_by)s, %(now)s, %(now)s
)
ON CONFLICT (tenant_id, name) DO NOTHING;

-- get_experiment --
SELECT * FROM experiments WHERE id = %(id)s;

-- list_experiments --
SELECT * FROM experiments
WHERE (%(state)s::text IS NULL OR state::text = %(state)s)
ORDER BY created_at DESC, id
LIMIT %(limit)s OFFSET %(offset)s;

-- count_experiments --
SELECT count(*) AS n FROM experiments
WHERE (%(state)s::text IS NULL OR state::text = %(state)s);

-- active_experiments --
-- Everything the controller still has to do something about.
SELECT * FROM experiments
WHERE state IN ('pending', 'initializing', 'running', 'analyzing')
ORDER BY created_at;

-- lock_host --
-- Two creations for one host are serialised: the second one sees the first one's row.
SELECT pg_advisory_xact_lock(hashtext('experiment-host:' || %(host)s));

-- active_on_host --
SELECT id, name FROM experiments
WHERE state IN ('pending', 'initializing', 'running', 'analyzing')
  AND target_nodes ? %(host)s
LIMIT 1;

-- move_experiment --
-- Compare-and-set: the row count says whether we won.
UPDATE experiments
SET state = %(to_state)s::experiment_state,
    phase = %(phase)s,
    error_message = %(error_message)s,
    verdict = COALESCE(%(verdict)s, verdict),
    started_at = COALESCE(started_at, %(started_at)s),
    completed_at = COALESCE(completed_at, %(completed_at)s),
    updated_at = %(now)s,
    version = version + 1
WHERE id = %(id)s AND state = %(from_state)s::experiment_state AND version = %(version)s;

-- set_live --
UPDATE experiments SET live = %(live)s WHERE id = %(id)s;

-- insert_transition --
INSERT INTO experiment_transitions (experiment_id, at, from_state, to_state, phase, reason, actor)
VALUES (
    %(id)s, %(now)s, %(from_state)s::experiment_state, %(to_state)s::experiment_state, %(phase)s,
    %(reason)s, %(actor)s
);

-- transitions --
SELECT at, from_state, to_state, phase, reason, actor FROM experiment_transitions
WHERE experiment_id = %(id)s
ORDER BY id;

-- insert_look --
INSERT INTO experiment_looks (
    experiment_id, number, at, after_tick, statistics, finished, rules_version, outcome
)
VALUES (
    %(id)s, %(number)s, %(now)s, %(after_tick)s, %(statistics)s, %(finished)s, %(rules_version)s,
    %(outcome)s
)
ON CONFLICT DO NOTHING;

-- last_look --
SELECT number, after_tick FROM experiment_looks
WHERE experiment_id = %(id)s
ORDER BY number DESC
LIMIT 1;

-- insert_revision --
INSERT INTO experiment_revisions (experiment_id, role, pipeline, config, sha256)
VALUES (%(id)s, %(role)s, %(pipeline)s, %(config)s, %(sha256)s)
ON CONFLICT DO NOTHING;

-- revisions --
SELECT role, pipeline, config, sha256 FROM experiment_revisions WHERE experiment_id = %(id)s;

-- insert_idempotency_key --
INSERT INTO idempotency_keys (principal, key, request_hash, created_at)
VALUES (%(principal)s, %(key)s, %(request_hash)s, %(now)s)
ON CONFLICT (principal, key) DO NOTHING;

-- keep_answer --
UPDATE idempotency_keys SET answer = %(answer)s
WHERE principal = %(principal)s AND key = %(key)s;

-- get_idempotency_key --
SELECT request_hash, answer FROM idempotency_keys
WHERE principal = %(principal)s AND key = %(key)s;

-- lock_change --
SELECT pg_advisory_xact_lock(hashtext('experiment-change:' || %(change)s));

-- count_attempts --
-- One that ended before its first tick has looked at nothing.
SELECT count(*) AS n FROM experiments
WHERE change_sha256 = %(change)s
  AND config ->> 'claim' = 'long_run'
  AND (started_at IS NOT NULL OR completed_at IS NULL);

-- insert_asked --
INSERT INTO experiment_queries (experiment_id, asked) VALUES (%(id)s, %(asked)s)
ON CONFLICT DO NOTHING;

-- asked --
SELECT asked, outcome FROM experiment_queries WHERE experiment_id = %(id)s;

-- save_outcome --
-- Judged once: a later judgement of the same queries would see other series.
UPDATE experiment_queries SET outcome = %(outcome)s
WHERE experiment_id = %(id)s AND outcome IS NULL;

-- last_statistics --
SELECT statistics FROM experiment_looks WHERE experiment_id = %(id)s
ORDER BY number DESC LIMIT 1;
