-- want_shadow --
INSERT INTO shadows (experiment_id, spec, wanted, status, updated_at)
VALUES (%(experiment_id)s, %(spec)s, 'run', NULL, %(now)s)
ON CONFLICT (experiment_id) DO NOTHING;

-- stop_shadow --
UPDATE shadows SET wanted = 'stop', updated_at = %(now)s
WHERE experiment_id = %(experiment_id)s AND wanted = 'run';

-- wanted_shadows --
SELECT experiment_id, spec FROM shadows WHERE wanted = 'run' ORDER BY experiment_id;

-- unsettled_shadows --
-- Their agent may have ended before it could say so, and with it the shadow.
SELECT experiment_id FROM shadows
WHERE wanted = 'stop' AND status ->> 'phase' IS DISTINCT FROM 'stopped'
ORDER BY experiment_id;

-- set_status --
UPDATE shadows SET status = %(status)s, updated_at = %(now)s
WHERE experiment_id = %(experiment_id)s;

-- get_status --
SELECT status FROM shadows WHERE experiment_id = %(experiment_id)s;

-- forget_tokens --
-- Once stopped, a shadow needs its secrets no more.
UPDATE shadows
SET spec = spec - 'token_baseline' - 'token_candidate'
WHERE experiment_id = %(experiment_id)s AND wanted = 'stop';

-- insert_sample --
INSERT INTO shadow_samples (
    experiment_id, member, at, state, cpu_s, rss_bytes, sent_points, exporter_failed_points,
    enqueue_failed_points, queue_size, total_cpu_s, restarts
)
VALUES (
    %(experiment_id)s, %(member)s, %(at)s, %(state)s, %(cpu_s)s, %(rss_bytes)s, %(sent_points)s,
    %(exporter_failed_points)s, %(enqueue_failed_points)s, %(queue_size)s, %(total_cpu_s)s,
    %(restarts)s
)
ON CONFLICT DO NOTHING;

-- samples_after --
SELECT id, experiment_id, member, at, state, cpu_s, rss_bytes, sent_points,
    exporter_failed_points, enqueue_failed_points, queue_size, total_cpu_s, restarts
FROM shadow_samples
WHERE experiment_id = %(experiment_id)s AND id > %(after)s
ORDER BY id
LIMIT %(limit)s;
