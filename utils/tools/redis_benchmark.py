#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis-benchmark's whole list of tests, alone, pipelined, with threads, in RESP3; the server counts what it was asked to do,
and what is stored afterwards is what the requests make of it."""
import csv, io, re

from tools import Server, check, done, equal, make_work, run, say

make_work()
server = Server()
client = server.client

# -t's names, the commands behind them (what prepares the test first), and the lines of a --csv report.
TESTS = [
    ("ping_inline", ["ping"]), ("ping_mbulk", ["ping"]), ("set", ["set"]), ("get", ["get"]), ("incr", ["incr"]),
    ("lpush", ["lpush"]), ("rpush", ["rpush"]), ("lpop", ["lpop"]), ("rpop", ["rpop"]), ("sadd", ["sadd"]), ("hset", ["hset"]),
    ("spop", ["spop"]), ("zadd", ["zadd"]), ("zpopmin", ["zpopmin"]), ("lrange_100", ["lpush", "lrange"]),
    ("lrange_300", ["lpush", "lrange"]), ("lrange_500", ["lpush", "lrange"]), ("lrange_600", ["lpush", "lrange"]), ("mset", ["mset"]),
]
REQUESTS = 4000


def benchmark(*more):
    """The rows of its --csv report; errors fail."""
    words = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "--csv"] + list(more)
    code, out, errors = run(words, seconds=120)
    text = out + errors
    check("%s: no error" % " ".join(more), code == 0 and "rror" not in text and "CONFIG" not in text, text)
    return list(csv.DictReader(io.StringIO(out)))


def calls(command):
    stats = client.info("commandstats").get("cmdstat_" + command, {"calls": 0, "failed_calls": 0, "rejected_calls": 0})
    return stats["calls"], stats["failed_calls"] + stats["rejected_calls"]


def drive(name, commands, *more, requests=REQUESTS):
    client.config_resetstat()
    rows = benchmark("-t", name, "-n", str(requests), *more)
    check("%s: a figure for each line" % name, rows and all(float(row["rps"]) > 0 and float(row["max_latency_ms"]) > 0 for row in rows), rows)
    for command in commands:
        equal("%s: %d calls of %s, none failed" % (name, requests, command.upper()), calls(command), (requests, 0))


version = run(["redis-benchmark", "--version"])[1].split()[1]
known = {name.decode() for name in client.command_list()}
there = {name for name, commands in TESTS if known.issuperset(commands)}
absent = [name for name, _ in TESTS if name not in there]
say("  not driven, since the server does not have the types yet: %s" % (" ".join(name.upper() for name in absent) or "none"))
for name in absent:
    code, out, errors = run(["redis-benchmark", "-p", str(server.port), "-t", name, "-n", "100", "-q"])
    check("%s: refused as an unknown command" % name, "unknown command '%s'" % name.upper() in out + errors, out + errors)

# ---- Each by its name -------------------------------------------------------------------------------------------

for name, commands in TESTS:
    if name not in there:
        continue
    if name in ("lpop", "rpop"):
        client.delete("mylist")
        client.rpush("mylist", *range(REQUESTS + 10))
    if name.startswith("lrange") or name in ("lpush", "rpush"):
        client.delete("mylist")
    drive(name, commands)
    if name == "set":
        check("set: three bytes are stored", re.fullmatch(rb"[A-Za-z0-9]{3}", client.get("key:__rand_int__")), client.get("key:__rand_int__"))
    if name == "incr":
        equal("incr: what is stored", client.get("counter:__rand_int__"), b"%d" % REQUESTS)
    if name in ("lpush", "rpush"):
        equal("%s: how many are stored" % name, client.llen("mylist"), REQUESTS)
    if name in ("lpop", "rpop"):
        equal("%s: what is left" % name, client.llen("mylist"), 10)
    if name.startswith("lrange"):
        equal("%s: the list behind it" % name, client.llen("mylist"), REQUESTS)

# ---- The default list as it is, one run ---------------------------------------------------------------------------

whole = [name for name, _ in TESTS if name in there]
client.flushall()
rows = benchmark("-n", "2000", "-t", ",".join(whole))
names = [re.sub(r" .*", "", row["test"]).lower() for row in rows]
check("the default list: a line for each test", set(whole) <= set(names), names)
if not absent:
    rows = benchmark("-n", "2000")
    check("without -t: a line for each test", set(whole) <= {re.sub(r" .*", "", row["test"]).lower() for row in rows}, rows)

# ---- Forms --------------------------------------------------------------------------------------------------------

for more in (["-P", "16"], ["--threads", "2"], ["-c", "50"], ["-3"], ["-k", "0"], ["-P", "16", "--threads", "2", "-c", "50", "-3"]):
    client.flushall()
    drive("set,get,incr", ["set", "get", "incr"], *more)
    equal("%s: what INCR stored" % " ".join(more), client.get("counter:__rand_int__"), b"%d" % REQUESTS)
client.flushall()
drive("set", ["set"], "-r", "500", "-d", "1000", "-P", "8")
check("-r: many keys, of them none outside", 300 < client.dbsize() <= 500, client.dbsize())
key = client.randomkey()
check("-d: values of that size", client.strlen(key) == 1000 and re.fullmatch(rb"key:0{9}\d{3}", key), key)
drive("get", ["get"], "--enable-tracking", "-r", "500")
equal("--enable-tracking: every client turned it on", calls("client|tracking"), (50, 0))
drive("set", ["set"], "--dbnum", "5")
check("--dbnum: stored there", client.info("keyspace")["db5"]["keys"] == 1)
client.flushall()
client.config_resetstat()
rows = benchmark("-n", "3000", "-P", "10", "XADD", "stream", "*", "message", "a line of a log")
equal("a command of one's own: XADD", (calls("xadd"), client.xlen("stream")), ((3000, 0), 3000))
rows = benchmark("-n", "1000", "-P", "10", "LOG.WRITE", "log", "a line of a log")
equal("a command of one's own: LOG.WRITE", (client.xlen("log"), client.xrange("log", count=1)[0][1]), (1000, {b"message": b"a line of a log"}))
code, out, errors = run(["redis-benchmark", "-p", str(server.port), "-n", "10", "-q", "NOSUCH", "x"])
check("an error is shown", "unknown command 'NOSUCH'" in out + errors, out + errors)
client.config_set("requirepass", "secret")
rows = benchmark("-a", "secret", "-n", "1000", "-t", "ping_mbulk")
check("-a: with a password", len(rows) == 1, rows)
done("redis-benchmark %s" % version)
