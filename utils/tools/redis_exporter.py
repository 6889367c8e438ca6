#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""prometheus-redis-exporter on redis-server and on ours: each metric of the one is a metric of the other, but for those that
redis_exporter.absent names with a reason. What can be counted is compared."""
import fnmatch, glob, os, re, subprocess, urllib.request

from tools import (DEBIAN, HERE, RedisServer, Server, WORK, check, done, equal, fail, free_port, make_work, say, start,
                   wait_until)

make_work()
ours, theirs = Server(), RedisServer("--appendonly", "yes", "--enable-debug-command", "yes")
program = os.path.join(DEBIAN, "usr/bin/prometheus-redis-exporter")

for server in (ours, theirs):
    client = server.client
    client.set("string", "x" * 100)
    client.set("with-ttl", "x", px=10000000)
    client.rpush("list", *range(50))
    for n in range(20):
        client.xadd("stream", {"message": "line %d" % n})
    client.execute_command("SELECT", 3)
    client.set("elsewhere", 1)
    client.execute_command("SELECT", 0)
    try:
        client.lpush("string", 1)
    except Exception:
        pass
    client.config_set("slowlog-log-slower-than", 0)
    client.get("string")
    client.config_set("slowlog-log-slower-than", 10000)
    client.config_set("latency-monitor-threshold", 1)
    client.execute_command("DEBUG", "SLEEP", "0.05")

# It asks for groups and consumers of each stream.
has_groups = bool(ours.client.execute_command("COMMAND DOCS", "xinfo|groups"))
STREAMS = ["-check-streams", "stream"] if has_groups else []
if not has_groups:
    say("  -check-streams is left out: there is no XINFO GROUPS yet")


def scrape(server):
    """The page's samples: {name{labels}: value}, without what says only that an exporter runs."""
    port = free_port()
    log = open(os.path.join(WORK, "%s-exporter.log" % server.name), "wb")
    start([program, "-redis.addr", "redis://127.0.0.1:%d" % server.port, "-web.listen-address", "127.0.0.1:%d" % port,
           "-include-system-metrics", "-export-client-list", "-include-config-metrics", "-check-keys", "*", "-count-keys", "db0=*",
           "-check-single-keys", "db3=elsewhere", "-redis-only-metrics"] + STREAMS,
          stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def page():
        try:
            return urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=10).read().decode()
        except OSError:
            return None

    wait_until("the exporter answers", page)
    text = page()  # the first one did not see what the exporter itself asks
    errors = [line for line in open(log.name).read().splitlines() if "level=error" in line or "level=warning" in line]
    equal("%s: the exporter complains of nothing" % server.name, errors, [])
    return {key: float(value) for key, value in re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.M)}


def names(samples):
    return {re.sub(r"\{.*", "", key) for key in samples}


def keys_of(samples, name, label):
    return {re.search(r'%s="([^"]*)"' % label, key)[1] for key in samples if key.startswith(name + "{")}


version = re.search(r"_([\d.]+)", os.path.basename(glob.glob(os.path.join(DEBIAN, ".packages", "prometheus-redis-exporter_*"))[0]))
got, want = scrape(ours), scrape(theirs)
with open(os.path.join(HERE, "redis_exporter.absent")) as file:
    absent = dict(line.split(None, 1) for line in file if line.strip() and not line.startswith("#"))
configs = {"redis_config_key_value:" + key for key in keys_of(want, "redis_config_key_value", "key")}
own_configs = {"redis_config_key_value:" + key for key in keys_of(got, "redis_config_key_value", "key")}
wanted, there = names(want) | configs, names(got) | own_configs
lacking = sorted(wanted - there)
missing = [name for name in lacking if not any(fnmatch.fnmatchcase(name, pattern) for pattern in absent)]
check("%d metrics and %d values of the configuration are there, %d are named as not applicable" % (
    len(names(want) & names(got)), len(configs & own_configs), len(lacking)), not missing, "missing:\n" + "\n".join(missing))
stale = [pattern for pattern in absent if not fnmatch.filter(lacking, pattern)]
check("redis_exporter.absent names nothing else", not stale, "there, or never there:\n" + "\n".join(stale))

for name in ("redis_up", "redis_connected_slaves", "redis_config_maxclients", "redis_config_maxmemory", "redis_aof_enabled",
             'redis_db_keys{db="db0"}', 'redis_db_keys_expiring{db="db0"}', 'redis_db_keys{db="db3"}', 'redis_key_size{db="db0",key="list"}',
             'redis_key_size{db="db0",key="string"}', 'redis_key_size{db="db0",key="stream"}', 'redis_stream_length{db="db0",stream="stream"}',
             'redis_keys_count{db="db0",key="*"}', 'redis_key_value{db="db3",key="elsewhere"}', 'redis_commands_total{cmd="xadd"}',
             'redis_commands_total{cmd="rpush"}', 'redis_commands_failed_calls_total{cmd="lpush"}',
             "redis_slowlog_length", "redis_exporter_last_scrape_error{err=\"\"}"):
    if name in want:
        equal("%s: as of redis-server" % name, got.get(name), want[name])
    else:
        say("    not given for redis-server: %s" % name)
for name in ("redis_memory_used_bytes", "redis_memory_used_startup_bytes", "redis_total_system_memory_bytes",
             "redis_cpu_user_seconds_total", "redis_total_reads_processed", "redis_total_writes_processed", "redis_net_input_bytes_total",
             'redis_latency_spike_duration_seconds{event_name="command"}'):
    say("    %-60s %14g, of redis-server %g" % (name, got.get(name, -1), want.get(name, -1)))
    check("%s: a figure" % name, got[name] > 0)
others = sorted(names(got) - names(want))
say("  metrics of ours alone: %s" % (" ".join(others) or "none"))
done("prometheus-redis-exporter %s" % version[1])
