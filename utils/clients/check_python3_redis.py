# SPDX-License-Identifier: MIT
# redis-py against a cordwood-server on CORDWOOD_PORT: connect, pipeline, block, logs.
import os
import threading
import time

import redis

port = int(os.environ["CORDWOOD_PORT"])
client = redis.Redis(port=port, client_name="check")
other = redis.Redis(port=port)

client.flushall()
assert client.ping()
assert client.client_getname() in ("check", b"check")
assert client.set("key", b"bin\x00\xff\r\n")
assert client.get("key") == b"bin\x00\xff\r\n"
assert client.set("key", "new", ex=100, get=True) == b"bin\x00\xff\r\n"
assert 0 < client.ttl("key") <= 100
assert client.type("key") == b"string"
try:
    client.lpush("key", "x")
    raise AssertionError("a list command on a string must fail")
except redis.ResponseError as error:
    assert str(error).startswith("WRONGTYPE"), error

pipeline = client.pipeline(transaction=False)
for number in range(1000):
    pipeline.xadd("stream", {"message": "line %d" % number, "n": number}, id="%d-0" % (number + 1))
assert pipeline.execute() == [b"%d-0" % (number + 1) for number in range(1000)]
entries = client.xrange("stream")
assert len(entries) == 1000
assert entries[999] == (b"1000-0", {b"message": b"line 999", b"n": b"999"})
assert client.xrevrange("stream", count=1)[0][0] == b"1000-0"
info = client.xinfo_stream("stream")
assert info["length"] == 1000 and info["last-generated-id"] == b"1000-0"
assert client.xtrim("stream", maxlen=10, approximate=False) == 990
assert client.xdel("stream", "1000-0") == 1

assert client.rpush("list", *range(100)) == 100
assert client.lrange("list", 0, -1) == [b"%d" % number for number in range(100)]
assert client.ltrim("list", 10, 19) and client.llen("list") == 10
assert client.lpop("list") == b"10" and client.rpop("list", 2) == [b"19", b"18"]

woken = []
reader = threading.Thread(target=lambda: woken.append(other.xread({"stream": "$"}, block=10000)))
reader.start()
while client.info("clients")["blocked_clients"] != 1:
    time.sleep(0.001)
client.xadd("stream", {"message": "wake"}, id="2000-0")
reader.join(10)
assert woken == [[[b"stream", [(b"2000-0", {b"message": b"wake"})]]]], woken
assert client.xread({"stream": "$"}, block=1) in ([], None)

written = client.execute_command("LOG.WRITE", "log", "TS", "1000", "LEVEL", "warn", "--", "hello")
assert written == b"1000-0"
assert client.execute_command("LOG.RANGE", "log", "-", "+", "LEVEL", "warn") == [
    [b"1000-0", [b"message", b"hello", b"level", b"warn"]]
]
assert sorted(client.scan_iter(count=1)) == [b"key", b"list", b"log", b"stream"]
assert client.dbsize() == 4
assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
assert client.command_count() > 50
print("redis-py %s: fine" % redis.__version__)
