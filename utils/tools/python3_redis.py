#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""python3-redis (redis-py): values, pipelines, streams, transactions, blocking pops, pub/sub, locks without scripts, a server
that is stopped, killed and started again."""
import threading, time

import redis
from redis.exceptions import ResponseError, WatchError

from tools import Server, check, done, equal, fail, make_work, wait_until

make_work()
server = Server()
client = redis.Redis(port=server.port, client_name="check")
other = redis.Redis(port=server.port)


def refused(what, call, error, text):
    try:
        call()
    except error as caught:
        check(what, text in str(caught), caught)
        return
    fail(what, "it was not refused")


def while_blocked(call, act):
    """What `call` returns once `act` has done what it waits for."""
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    wait_until("somebody is blocked", lambda: client.info("clients")["blocked_clients"] == 1)
    act()
    thread.join(10)
    return results[0] if results else None


# ---- Values -------------------------------------------------------------------------------------------------

equal("CLIENT GETNAME", client.client_getname(), "check")
equal("SET and GET of bytes", (client.set("key", b"bin\x00\xff\r\n"), client.get("key")), (True, b"bin\x00\xff\r\n"))
equal("SET with EX and GET", client.set("key", "new", ex=100, get=True), b"bin\x00\xff\r\n")
check("TTL", 99 <= client.ttl("key") <= 100)
equal("TYPE", client.type("key"), b"string")
refused("a list command on a string", lambda: client.lpush("key", "x"), ResponseError, "WRONGTYPE")
equal("BITFIELD", client.bitfield("bits").set("u8", 0, 255).get("u4", 0).execute(), [0, 15])
equal("LCS", client.mset({"one": "ohmytext", "two": "mynewtext"}) and client.execute_command("LCS", "one", "two"), b"mytext")
equal("LOG.WRITE", client.execute_command("LOG.WRITE", "log", "TS", "1000", "LEVEL", "warn", "--", "hello"), b"1000-0")
equal("LOG.RANGE", client.execute_command("LOG.RANGE", "log", "-", "+", "LEVEL", "warn"),
      [[b"1000-0", [b"message", b"hello", b"level", b"warn"]]])
equal("SCAN", sorted(client.scan_iter(count=1)), [b"bits", b"key", b"log", b"one", b"two"])
equal("SCAN with TYPE", list(client.scan_iter(_type="stream")), [b"log"])
equal("DUMP and RESTORE", client.restore("copy", 0, client.dump("key")) and client.get("copy"), b"new")
equal("CONFIG GET and SET", (client.config_set("slowlog-max-len", 64), client.config_get("slowlog-max-len")),
      (True, {"slowlog-max-len": "64"}))
check("COMMAND COUNT", client.command_count() > 100, client.command_count())
equal("COMMAND GETKEYS", client.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
info = client.info("all")
check("INFO is parsed", info["redis_version"].startswith("7.") and info["role"] == "master" and info["db0"]["keys"] == 6 and
      info["cmdstat_get"]["calls"] == 2, info)
client.config_set("slowlog-log-slower-than", 0)
client.get("slow")
client.config_set("slowlog-log-slower-than", 10000)
check("SLOWLOG is parsed", any(entry["command"] == b"GET slow" for entry in client.slowlog_get()), client.slowlog_get())
check("CLIENT LIST is parsed", {"check", ""} <= {one["name"] for one in client.client_list()}, client.client_list())
check("MEMORY STATS is parsed", client.memory_stats()["keys.count"] == client.dbsize(), client.memory_stats())

# ---- Streams ------------------------------------------------------------------------------------------------

pipeline = client.pipeline(transaction=False)
for number in range(1000):
    pipeline.xadd("stream", {"message": "line %d" % number, "n": number}, id="%d-0" % (number + 1))
equal("a pipeline of XADD", pipeline.execute(), [b"%d-0" % (number + 1) for number in range(1000)])
equal("XRANGE", client.xrange("stream"),
      [(b"%d-0" % (n + 1), {b"message": b"line %d" % n, b"n": b"%d" % n}) for n in range(1000)])
equal("XREVRANGE", client.xrevrange("stream", count=1)[0][0], b"1000-0")
info = client.xinfo_stream("stream")
equal("XINFO STREAM", (info["length"], info["last-generated-id"], info["first-entry"][0]), (1000, b"1000-0", b"1-0"))
equal("XTRIM", client.xtrim("stream", maxlen=10, approximate=False), 990)
equal("XDEL", (client.xdel("stream", "1000-0"), client.xlen("stream")), (1, 9))
equal("XREAD BLOCK", while_blocked(lambda: other.xread({"stream": "$"}, block=10000), lambda: client.xadd("stream", {"message": "wake"}, id="2000-0")),
      [[b"stream", [(b"2000-0", {b"message": b"wake"})]]])
check("XREAD BLOCK in vain", client.xread({"stream": "$"}, block=1) in ([], None))

# ---- Lists and blocking pops ----------------------------------------------------------------------------------

equal("RPUSH", client.rpush("list", *range(100)), 100)
equal("LRANGE", client.lrange("list", 0, -1), [b"%d" % number for number in range(100)])
equal("LTRIM", (client.ltrim("list", 10, 19), client.llen("list")), (True, 10))
equal("LPOP, RPOP", (client.lpop("list"), client.rpop("list", 2)), (b"10", [b"19", b"18"]))
equal("BLPOP", while_blocked(lambda: other.blpop(["empty", "queue"], 10), lambda: client.rpush("queue", "job")), (b"queue", b"job"))
equal("BLMOVE", while_blocked(lambda: other.blmove("from", "to", 10, "LEFT", "RIGHT"), lambda: client.rpush("from", "job")), b"job")
equal("BRPOPLPUSH in vain", client.brpoplpush("empty", "to", 1), None)
equal("BLMPOP", while_blocked(lambda: other.blmpop(10, 2, "empty", "many", direction="LEFT", count=2), lambda: client.rpush("many", 1, 2, 3)),
      [b"many", [b"1", b"2"]])

# ---- Transactions ---------------------------------------------------------------------------------------------

equal("MULTI", client.pipeline().set("a", 1).incr("a").get("a").execute(), [True, 2, b"2"])
refused("MULTI with an error", client.pipeline().set("a", "x").incr("a").execute, ResponseError, "not an integer")
equal("MULTI with an error: the others are done", client.get("a"), b"x")
watching = other.pipeline()
watching.watch("a")
client.set("a", "between")
watching.multi()
watching.set("a", "lost")
refused("WATCH", watching.execute, WatchError, "Watched variable changed")
equal("WATCH: nothing was done", client.get("a"), b"between")
client.set("n", 0)
equal("transaction()", client.transaction(lambda p: p.multi() or p.incrby("n", 5), "n"), [5])

# ---- Pub/sub ----------------------------------------------------------------------------------------------------


def message_or_none(listener):
    """This version tells once that the connection is lost; asked again, it connects and subscribes anew."""
    try:
        return listener.get_message(timeout=0.2)
    except redis.ConnectionError:
        return None


def next_message(listener):
    return wait_until("a message", lambda: message_or_none(listener))


pubsub = other.pubsub()
pubsub.subscribe("news")
pubsub.psubscribe("n*")
equal("subscribed", [next_message(pubsub)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
equal("PUBLISH", client.publish("news", b"\x00one"), 2)
equal("messages", [next_message(pubsub) for _ in range(2)], [
    {"type": "message", "pattern": None, "channel": b"news", "data": b"\x00one"},
    {"type": "pmessage", "pattern": b"n*", "channel": b"news", "data": b"\x00one"}])
equal("PUBSUB", (client.pubsub_channels(), client.pubsub_numsub("news", "old"), client.pubsub_numpat()), ([b"news"], [(b"news", 1), (b"old", 0)], 1))
client.config_set("notify-keyspace-events", "KA")
events = other.pubsub()
events.psubscribe("__keyspace@0__:*")
next_message(events)
client.xadd("noted", {"message": "x"})
equal("keyspace notifications", (lambda m: (m["channel"], m["data"]))(next_message(events)), (b"__keyspace@0__:noted", b"xadd"))
with client.monitor() as monitor:
    other.set("seen", "1")
    equal("MONITOR", monitor.next_command()["command"], "SET seen 1")

# ---- A server that comes back -------------------------------------------------------------------------------------

for name, stop in (("stopped", server.stop), ("killed", server.kill)):
    client.rpush("kept", name)
    stop()
    refused("while it is %s" % name, lambda: redis.Redis(port=server.port).ping(), redis.ConnectionError, "refused")
    server.start()
    equal("%s and started: what was written is there" % name, client.lrange("kept", -1, -1), [name.encode()])
    equal("%s and started: the name is given again" % name, client.client_getname(), "check")
    equal("%s and started: who listened listens again" % name, [next_message(pubsub)["type"] for _ in range(2)],
          ["subscribe", "psubscribe"])
    equal("%s and started: and hears" % name, (client.publish("news", name), [next_message(pubsub)["data"] for _ in range(2)]),
          (2, [name.encode()] * 2))


def push(number):
    """Until it is acknowledged; what was done and not acknowledged is done once more."""
    while True:
        try:
            return client.rpush("numbers", number)
        except redis.ConnectionError:
            time.sleep(0.01)


def push_until(ended):
    while not ended.is_set():
        push(counter[0])
        counter[0] += 1


counter, ended = [0], threading.Event()
pushing = threading.Thread(target=push_until, args=(ended,))
pushing.start()
for stop in (server.stop, server.kill, server.stop):
    stop()
    server.start()
ended.set()
pushing.join()
count = counter[0]
numbers = [int(number) for number in redis.Redis(port=server.port).lrange("numbers", 0, -1)]
check("tried again over three restarts: every write is there, in order", sorted(set(numbers)) == list(range(count)) and numbers == sorted(numbers),
      (count, len(numbers)))
done("python3-redis %s" % redis.__version__)
