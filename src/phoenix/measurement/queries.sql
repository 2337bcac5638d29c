-- insert_subscription --
INSERT INTO meter_subscriptions
    (experiment_id, interval_s, critical, token_baseline, token_candidate, top_k,
     shared_scrape, arm_states, created_at)
VALUES
    (%(experiment_id)s, %(interval_s)s, %(critical)s, %(token_baseline)s, %(token_candidate)s,
     %(top_k)s, %(shared_scrape)s, %(arm_states)s, %(created_at)s)
ON CONFLICT (experiment_id) DO NOTHING;

-- deactivate_subscription --
UPDATE meter_subscriptions SET active = false WHERE experiment_id = %(experiment_id)s AND active;

-- set_arm_state --
UPDATE meter_subscriptions
SET arm_states = arm_states || jsonb_build_object(%(arm)s::text, %(state)s::text)
WHERE experiment_id = %(experiment_id)s
  AND arm_states ->> %(arm)s::text IS DISTINCT FROM %(state)s::text;

-- active_subscriptions --
SELECT experiment_id, interval_s, critical, token_baseline, token_candidate, top_k,
       shared_scrape, arm_states, created_at
FROM meter_subscriptions WHERE active ORDER BY experiment_id;

-- subscription --
SELECT experiment_id, interval_s, critical, token_baseline, token_candidate, top_k,
       shared_scrape, arm_states, created_at
FROM meter_subscriptions WHERE experiment_id = %(experiment_id)s;

-- resume --
SELECT run_baseline, run_candidate,
       (SELECT max(tick) FROM ticks WHERE ticks.experiment_id = s.experiment_id) AS last_tick
FROM meter_subscriptions AS s WHERE s.experiment_id = %(experiment_id)s;

-- save_sketches --
UPDATE meter_subscriptions
SET run_baseline = %(run_baseline)s, run_candidate = %(run_candidate)s
WHERE experiment_id = %(experiment_id)s;

-- insert_tick --
INSERT INTO ticks (experiment_id, tick, at, summary, excluded)
VALUES (%(experiment_id)s, %(tick)s, %(at)s, %(summary)s, %(excluded)s)
ON CONFLICT (experiment_id, tick) DO NOTHING;

-- ticks_after --
SELECT summary FROM ticks
WHERE experiment_id = %(experiment_id)s AND tick > %(after)s
ORDER BY tick LIMIT %(limit)s;

-- latest_ticks --
SELECT summary FROM ticks WHERE experiment_id = %(experiment_id)s
ORDER BY tick DESC LIMIT %(limit)s;

-- upsert_name --
INSERT INTO meter_names
    (experiment_id, name, baseline_ticks, candidate_ticks, cpu_s, memory_bytes, critical)
VALUES
    (%(experiment_id)s, %(name)s, %(baseline_ticks)s, %(candidate_ticks)s, %(cpu_s)s,
     %(memory_bytes)s, %(critical)s)
ON CONFLICT (experiment_id, name) DO UPDATE SET
    baseline_ticks = EXCLUDED.baseline_ticks, candidate_ticks = EXCLUDED.candidate_ticks,
    cpu_s = EXCLUDED.cpu_s, memory_bytes = EXCLUDED.memory_bytes, critical = EXCLUDED.critical;

-- names --
SELECT name, baseline_ticks, candidate_ticks, cpu_s, memory_bytes, critical
FROM meter_names WHERE experiment_id = %(experiment_id)s ORDER BY name;

-- save_emitted --
INSERT INTO meter_emitted (experiment_id, arm, body)
VALUES (%(experiment_id)s, %(arm)s, %(body)s)
ON CONFLICT (experiment_id, arm) DO UPDATE SET body = EXCLUDED.body;

-- emitted --
SELECT arm, body FROM meter_emitted WHERE experiment_id = %(experiment_id)s;
