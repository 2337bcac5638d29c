"""The programs that make a host look like one that works, with the command lines they have there.

A template's command line may ask for `{n}` (its number among its kind), `{id}` (twelve hexadecimal
digits), `{port}` and `{pid}` (plausible numbers). `cpu` is milli-cores, `memory` MB touched. The
programs and their titles are those of a common Debian or Ubuntu server and of a developer's desk.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A kind of process; `weight` is how often it is drawn where one is drawn."""

    name: str
    argv: tuple[str, ...]
    cpu: float = 0.0
    memory: float = 0.0
    write_kb_s: float = 0.0
    weight: int = 1


def _of(
    name: str,
    line: str,
    cpu: float = 0.0,
    memory: float = 0.0,
    write_kb_s: float = 0.0,
    weight: int = 1,
) -> Template:
    """A template from a line; arguments with spaces are written with `␣`."""
    argv = tuple(part.replace("␣", " ") for part in line.split(" "))
    return Template(
        name=name, argv=argv, cpu=cpu, memory=memory, write_kb_s=write_kb_s, weight=weight
    )


# On every host, once each and in this order; a small load is a prefix of this list.
BACKBONE = (
    _of("nginx", "nginx:␣master␣process␣/usr/sbin/nginx␣-g␣daemon␣off;", 0.2, 2),
    _of("postgres", "/usr/lib/postgresql/16/bin/postgres -D /var/lib/postgresql/16/main", 1, 14, 8),
    _of("redis-server", "/usr/bin/redis-server␣127.0.0.1:6379", 4, 12, 4),
    _of("java", "/usr/bin/java -Xms256m -Xmx512m -jar /srv/orders/orders-service.jar", 45, 72, 16),
    _of("sshd", "sshd:␣/usr/sbin/sshd␣-D␣[listener]␣0␣of␣10-100␣startups", 0.1, 1),
    _of("systemd-journald", "/lib/systemd/systemd-journald", 1, 6, 12),
    _of("systemd-logind", "/lib/systemd/systemd-logind", 0.1, 1),
    _of("systemd-udevd", "/lib/systemd/systemd-udevd", 0.1, 2),
    _of("systemd-resolved", "/lib/systemd/systemd-resolved", 0.2, 3),
    _of("dbus-daemon", "@dbus-daemon --system --address=systemd: --nofork --nopidfile", 0.2, 1),
    _of("cron", "/usr/sbin/cron -f -P", 0.1, 0.5),
    _of("rsyslogd", "/usr/sbin/rsyslogd -n -iNONE", 0.5, 2, 6),
    _of("chronyd", "/usr/sbin/chronyd -F 1", 0.1, 1),
    _of("containerd", "/usr/bin/containerd", 2, 16),
    _of("dockerd", "/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock", 2, 20),
    _of("haproxy", "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid", 6, 6),
    _of("memcached", "/usr/bin/memcached -m 64 -p 11211 -u memcache -l 127.0.0.1", 1, 8),
    _of("gunicorn", "gunicorn:␣master␣[billing.wsgi]", 0.3, 6),
    _of("node", "node /srv/storefront/server.js --port=3000", 18, 30),
    _of("chrome", "/opt/google/chrome/chrome --headless=new --remote-debugging-port=9222", 10, 28),
    _of("agetty", "/sbin/agetty -o -p␣--␣\\u --noclear tty1 linux", 0, 0.3),
    _of("polkitd", "/usr/lib/polkit-1/polkitd --no-debug", 0.1, 2),
)

# Drawn by weight until the host is as full as wanted.
CROWD = (
    _of("nginx", "nginx:␣worker␣process", 4, 3, 0, 6),
    _of("postgres", "postgres:␣orders␣app␣10.0.0.{n}({port})␣idle", 1.5, 4, 4, 9),
    _of("postgres", "postgres:␣autovacuum␣launcher", 0.2, 1, 0, 1),
    _of("postgres", "postgres:␣walwriter", 0.5, 1, 12, 1),
    _of("gunicorn", "gunicorn:␣worker␣[billing.wsgi]", 3, 10, 0, 5),
    _of(
        "python3",
        "/srv/etl/.venv/bin/python3 -m etl.worker --queue=q{n} --concurrency=4",
        2,
        9,
        2,
        5,
    ),
    _of("celery", "celery:␣worker-{n}@host:MainProcess␣-A␣shop␣-l␣INFO", 2, 9, 0, 4),
    _of("java", "/usr/bin/java -Xmx128m -jar /srv/agents/agent-{n}.jar --id={id}", 3, 24, 2, 2),
    _of("node", "node /srv/jobs/job.js --shard={n}", 2, 14, 0, 3),
    _of(
        "chrome",
        "/opt/google/chrome/chrome --type=renderer --renderer-client-id={n}",
        1.5,
        12,
        0,
        7,
    ),
    _of("chrome", "/opt/google/chrome/chrome --type=utility --service-id={id}", 0.3, 4, 0, 2),
    _of("php-fpm8.2", "php-fpm:␣pool␣www", 1.5, 5, 0, 5),
    _of("bash", "-bash", 0, 0.5, 0, 5),
    _of("sh", "/bin/sh /usr/local/bin/watch-queue.sh q{n}", 0.1, 0.3, 0, 3),
    _of("sshd", "sshd:␣deploy@pts/{n}", 0.1, 1, 0, 4),
    _of("tmux", "tmux new-session -s work{n}", 0.1, 1, 0, 2),
    _of("tail", "tail -F /var/log/app/app-{n}.log", 0.1, 0.2, 0, 2),
    _of("cron", "/usr/sbin/CRON -f", 0, 0.4, 0, 1),
    _of(
        "containerd-shim-runc-v2",
        "/usr/bin/containerd-shim-runc-v2 -namespace moby -id {id}",
        0.3,
        3,
        0,
        5,
    ),
    _of("docker-proxy", "/usr/bin/docker-proxy -proto tcp -host-port {port}", 0, 0.5, 0, 3),
    _of("redis-server", "/usr/bin/redis-server␣127.0.0.1:{port}", 2, 5, 2, 2),
    _of("vim", "vim src/main-{n}.c", 0.1, 2, 0, 1),
    _of("git", "git fetch --prune origin", 0.1, 1, 0, 1),
    _of("rsync", "rsync -a --delete /srv/data/{n}/ backup:/srv/data/{n}/", 1, 2, 24, 1),
)

# Every one with a command line of its own: what makes series multiply.
UNIQUE = (
    _of("celery", "celery:␣worker-{n}@{id}:ForkPoolWorker-{n}", 0, 0, 0, 8),
    _of(
        "chrome",
        "/opt/google/chrome/chrome --type=renderer --renderer-client-id={n} --field-trial={id}",
        0,
        0,
        0,
        8,
    ),
    _of(
        "java", "/usr/bin/java -Dexecutor={id} -jar /srv/spark/executor.jar --task={n}", 0, 0, 0, 5
    ),
    _of("python3", "/usr/bin/python3 /srv/jobs/run.py --run-id={id} --part={n}", 0, 0, 0, 8),
    _of("node", "node /srv/functions/handler.js --invocation={id}-{n}", 0, 0, 0, 6),
    _of("postgres", "postgres:␣tenant_{n}␣10.1.2.3({port})␣idle", 0, 0, 0, 8),
    _of("php-fpm8.2", "php-fpm:␣pool␣tenant-{n}", 0, 0, 0, 6),
    _of(
        "containerd-shim-runc-v2",
        "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id {id}{id}",
        0,
        0,
        0,
        6,
    ),
    _of("sshd", "sshd:␣user{n}@pts/{n}", 0, 0, 0, 3),
    _of("bash", "bash /tmp/build-{id}/step-{n}.sh", 0, 0, 0, 5),
    _of("nginx", "nginx:␣worker␣process␣{n}", 0, 0, 0, 3),
    _of("beam.smp", "/usr/lib/erlang/bin/beam.smp -name rabbit-{n}@{id}", 0, 0, 0, 2),
)

# Short-lived: what a build server, a cron table and health checks start all day.
BRIEF = (
    _of("sh", "/bin/sh -c /usr/local/bin/healthcheck␣{birth}", 0, 0, 0, 6),
    _of("curl", "curl -fsS http://127.0.0.1:8080/health?probe={birth}", 0, 0, 0, 5),
    _of("bash", "bash ./ci/step.sh --build={birth}", 0.5, 0.5, 0, 4),
    _of("git", "git rev-parse --verify refs/builds/{birth}", 0, 1, 0, 3),
    _of("make", "make -C build/{birth} all", 1, 1, 0, 2),
    _of("cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet src/unit{birth}.c", 5, 8, 0, 3),
    _of("python3", "/usr/bin/python3 -m pytest tests/test_{birth}.py", 2, 6, 0, 3),
    _of("awk", "awk -v␣run={birth} -f report.awk", 0.5, 0.3, 0, 2),
    _of("grep", "grep -c ERROR /var/log/app/{birth}.log", 0.5, 0.2, 0, 2),
    _of("logrotate", "/usr/sbin/logrotate /etc/logrotate.d/app{birth}", 0, 0.5, 8, 1),
    _of("ssh", "ssh -o BatchMode=yes node{birth} uptime", 0, 1, 0, 1),
)
