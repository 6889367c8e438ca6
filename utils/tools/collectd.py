#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""collectd's redis plugin on redis-server and on ours: the same figures come in, and what can be counted is counted right, also
after the server was killed and started again."""
import glob, os, subprocess

from tools import BUILD, DEBIAN, RedisServer, Server, WORK, check, done, end, equal, fail, make_work, start, wait_until

NODE = """
  <Node "{name}">
    Host "127.0.0.1"
    Port "{port}"
    Timeout 2000
    ReportCommandStats true
    ReportCpuUsage true
    <Query "LLEN list">
      Type "queue_length"
      Instance "list"
    </Query>
    <Query "XLEN stream">
      Type "queue_length"
      Instance "stream"
    </Query>
  </Node>"""

CONFIG = """
BaseDir "{work}"
PIDFile "{work}/pid"
PluginDir "{debian}/usr/lib/collectd"
TypesDB "{debian}/usr/share/collectd/types.db"
Hostname "here"
Interval 0.3
LoadPlugin logfile
LoadPlugin csv
LoadPlugin redis
<Plugin logfile>
  LogLevel info
  File STDOUT
</Plugin>
<Plugin csv>
  DataDir "{work}/csv"
</Plugin>
<Plugin redis>{nodes}
</Plugin>
"""

make_work()
ours, theirs = Server(), RedisServer()
for server in (ours, theirs):
    server.client.rpush("list", *range(7))
    for n in range(5):
        server.client.xadd("stream", {"message": n})
    server.client.get("missing")
    server.client.set("with-ttl", 1, ex=1000)

config = os.path.join(WORK, "collectd.conf")
with open(config, "w") as file:
    file.write(CONFIG.format(work=WORK, debian=DEBIAN, nodes="".join(NODE.format(name=s.name, port=s.port) for s in (ours, theirs))))
log = open(os.path.join(WORK, "collectd.log"), "wb")
program = os.path.join(DEBIAN, "usr/sbin/collectd")
collectd = start([program, "-f", "-B", "-C", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def figures(server):
    """{name: the newest line's values}"""
    newest = {}
    for path in glob.glob(os.path.join(WORK, "csv", "here", "redis-" + server.name, "*")):
        lines = open(path).read().splitlines()
        if len(lines) > 1:
            newest[os.path.basename(path)[:-len("-2000-01-01")]] = [float(v) for v in lines[-1].split(",")[1:] if v != "nan"]
    return newest


def both_are_read():
    if collectd.poll() is not None:
        fail("collectd ended", open(log.name).read())
    return all("total_operations" in figures(server) and figures(server).get("queue_length-stream") == [5] for server in (ours, theirs))


wait_until("collectd has read both", both_are_read)
wait_until("every figure is there", lambda: set(figures(ours)) == set(figures(theirs)) and len(figures(ours)) > 30, 20)
equal("the same %d figures as of redis-server" % len(figures(ours)), sorted(figures(ours)), sorted(figures(theirs)))
got, want = figures(ours), figures(theirs)
for name in ("queue_length-list", "queue_length-stream", "records-0", "blocked_clients", "pubsub-channels", "evicted_keys", "expired_keys"):
    equal("%s: as of redis-server" % name, got[name], want[name])
check("memory", got["memory"][0] > 1e6, got["memory"])

waiting = start(["redis-cli", "-p", str(ours.port), "BLPOP", "nobody", "60"], stdout=subprocess.DEVNULL)
ours.client.rpush("list", "one more")
wait_until("it is seen", lambda: figures(ours)["queue_length-list"] == [8] and figures(ours)["blocked_clients"] == [1])
check("what changes is seen at the next reading", True)
end(waiting)
ours.kill()
wait_until("collectd complains", lambda: "redis plugin" in open(log.name).read() and "onnect" in open(log.name).read())
ours.start()
ours.client.rpush("list", "another")
wait_until("it is read again", lambda: figures(ours)["queue_length-list"] == [9])
check("after kill -9 and a start it is read again", True)
equal("collectd ends in order", end(collectd), 0)
version = os.path.basename(glob.glob(os.path.join(DEBIAN, ".packages", "collectd-core_*"))[0]).split("_")[1].split("-")[0]
done("collectd %s" % version)
