#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""acceptance.py BUILD CORPUS [N]: real log lines in, the same bytes out, before and after kill -9.

BUILD has cordwood-server and log_write, CORPUS the *.log files and gendata.py. N (2000000) generated lines go in by
`redis-cli --pipe`; each corpus file by LOG.WRITE through hiredis, and by rsyslog's omhiredis as LPUSH where rsyslogd is
installed. Everything is read back by XRANGE, LRANGE, LOG.RANGE and the JSON protocol, compared byte by byte, the server is
killed with -9, started again, and all is compared once more. Prints a line a step; exit code 1 at the first difference."""
import glob, json, os, shutil, signal, socket, subprocess, sys, tempfile, time
import redis

build, corpus = sys.argv[1], sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 2000000
work = tempfile.mkdtemp(prefix="cordwood-acceptance-")
sock, json_sock = work + "/redis.sock", work + "/json.sock"


def say(*words):
    print(*words, flush=True)


def fail(*words):
    say("FAILED:", *words)
    sys.exit(1)


def start():
    began = time.monotonic()
    server = subprocess.Popen(
        [build + "/cordwood-server", "--port", "0", "--json-port", "0", "--unixsocket", sock,
         "--json-unixsocket", json_sock, "--dir", work + "/data", "--memtable-size", "16mb",
         "--block-cache-size", "16mb"], stdout=open(work + "/server.log", "ab"), stderr=subprocess.STDOUT)
    client = redis.Redis(unix_socket_path=sock)
    while True:
        try:
            client.ping()
            return server, client, time.monotonic() - began
        except redis.ConnectionError:
            if server.poll() is not None:
                fail("the server ended:", open(work + "/server.log").read()[-2000:])
            time.sleep(0.005)


def lines_of(path):
    with open(path, "rb") as file:
        return file.read().split(b"\n")[:-1] if os.path.getsize(path) else []


def equal(what, got, want):
    if len(got) != len(want):
        fail(what, "has", len(got), "lines instead of", len(want))
    for index, (a, b) in enumerate(zip(got, want)):
        if a != b:
            fail(what, "line", index, "is", a, "instead of", b)


def by_xrange(client, key, field):
    lines, first = [], "-"
    while True:
        page = client.execute_command("XRANGE", key, first, "+", "COUNT", 10000)
        if not page:
            return lines
        lines += [fields[field] for _, fields in page]
        first = b"(" + page[-1][0]


def by_log_range(client, key, field, page_size=10000):
    lines, first = [], "-"
    while True:
        page = client.execute_command("LOG.RANGE", key, first, "+", "COUNT", page_size)
        if not page:
            return lines
        lines += [dict(zip(fields[::2], fields[1::2]))[field] for _, fields in page]
        first = b"(" + page[-1][0]


def by_lrange(client, key):
    lines, at = [], 0
    while True:
        page = client.lrange(key, at, at + 9999)
        if not page:
            return lines
        lines += page
        at += len(page)


def by_json(key):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(json_sock)
    stream = connection.makefile("rwb")
    lines, cursor = [], None
    while True:
        request = {"action": "read", "log": key, "start_ts": 0, "end_ts": 2**64 - 1, "limit": 5000}
        if cursor:
            request["cursor"] = cursor
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
        reply = json.loads(stream.readline())
        if reply["status"] != "ok":
            fail("JSON read:", reply)
        lines += [entry["message"].encode() for entry in reply["data"]]
        cursor = reply.get("cursor")
        if not cursor or not reply["data"]:
            connection.close()
            return lines


def through_rsyslog(path, key, lines):
    """LF line ends in, LPUSH to `key`; the newest is at the head."""
    spool = work + "/spool-" + key
    os.mkdir(spool)
    config = spool + "/rsyslog.conf"
    with open(spool + "/input.log", "wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    with open(config, "w") as file:
        file.write(f'''global(workDirectory="{spool}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omhiredis")
template(name="line" type="string" string="%rawmsg%")
input(type="imfile" File="{spool}/input.log" Tag="t" ruleset="out" readMode="0")
ruleset(name="out" queue.type="direct") {{ action(type="omhiredis" server="127.0.0.1" serverport="{tcp_port}" mode="queue" key="{key}" template="line") }}
''')
    daemon = subprocess.Popen(["rsyslogd", "-n", "-f", config, "-i", spool + "/pid"],
                              stdout=open(spool + "/log", "ab"), stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while client.llen(key) < len(lines) and time.monotonic() < deadline:
        time.sleep(0.1)
    daemon.terminate()
    daemon.wait()


def check_everything(when):
    equal("XRANGE of the generated lines", by_xrange(client, "logs", b"msg"), generated)
    equal("LOG.RANGE of the generated lines", by_log_range(client, "logs", b"msg"), generated)
    for key, lines in written.items():
        equal("XRANGE " + key, by_xrange(client, key, b"message"), lines)
        equal("LOG.RANGE " + key, by_log_range(client, key, b"message"), lines)
        shown = [line.decode("utf-8", "replace").encode() for line in lines]
        equal("JSON read " + key, by_json(key), shown)
    for key, lines in pushed.items():
        equal("LRANGE " + key, by_lrange(client, key)[::-1], lines)
    say("ok  all lines are byte-identical by XRANGE, LRANGE, LOG.RANGE and the JSON read", when)


subprocess.run([sys.executable, corpus + "/gendata.py", str(count), work, corpus], check=True)
generated = lines_of(work + "/logs.txt")
free = socket.socket()
free.bind(("127.0.0.1", 0))
tcp_port = free.getsockname()[1]
free.close()
server, client, _ = start()
began = time.monotonic()
pipe = subprocess.run(["redis-cli", "-s", sock, "--pipe"], stdin=open(work + "/xadd.resp", "rb"),
                      capture_output=True, text=True)
if "errors: 0" not in pipe.stdout:
    fail("redis-cli --pipe:", pipe.stdout, pipe.stderr)
seconds = time.monotonic() - began
say(f"ok  {count} lines by redis-cli --pipe in {seconds:.1f} s ({count / seconds / 1000:.0f}k/s)")

written, pushed = {}, {}
for path in sorted(glob.glob(corpus + "/*.log")):
    lines = [line.rstrip(b"\r") for line in lines_of(path)]
    key = os.path.basename(path)
    written[key] = lines
    out = subprocess.run([build + "/log_write", sock, key], input=b"".join(l + b"\n" for l in lines),
                         capture_output=True)
    if out.returncode:
        fail("log_write:", out.stderr)
    pushed["list-" + key] = lines
    pipeline = client.pipeline(transaction=False)
    for line in lines:
        pipeline.lpush("list-" + key, line)
    pipeline.execute()
say("ok ", len(written), "corpus files by LOG.WRITE and by LPUSH")
check_everything("before kill -9")

if shutil.which("rsyslogd"):
    bridge = subprocess.Popen([sys.executable, "-c", f'''
import asyncio
async def copy(a, b):
    while data := await a.read(65536):
        b.write(data); await b.drain()
    b.close()
async def serve(r, w):
    ur, uw = await asyncio.open_unix_connection("{sock}")
    await asyncio.gather(copy(r, uw), copy(ur, w))
async def main():
    await (await asyncio.start_server(serve, "127.0.0.1", {tcp_port})).serve_forever()
asyncio.run(main())'''])
    time.sleep(0.5)
    for path in sorted(glob.glob(corpus + "/*.log")):
        key = "syslog-" + os.path.basename(path)
        lines = [l for l in (line.rstrip(b"\r") for line in lines_of(path)) if l]
        through_rsyslog(path, key, lines)
        pushed[key] = lines
    bridge.kill()
    say("ok ", "the corpus files by rsyslog's omhiredis")
else:
    say("--  rsyslogd is not installed: that part is left out")

server.send_signal(signal.SIGKILL)
server.wait()
server, client, seconds = start()
say(f"ok  started again after kill -9 in {seconds * 1000:.0f} ms")
check_everything("after kill -9")
info = client.info("everything")
disk = sum(os.path.getsize(work + "/data/" + name) for name in os.listdir(work + "/data") if not name.endswith(".wal"))
say(f"    {disk / (count + sum(map(len, written.values())) * 3):.1f} bytes on disk a line, the WAL not counted")
server.send_signal(signal.SIGTERM)
if server.wait() != 0:
    fail("the server did not stop cleanly")
verify = subprocess.run([build + "/cordwood", "verify", work + "/data"], capture_output=True, text=True)
if verify.returncode:
    fail("cordwood verify:", verify.stdout[-2000:])
say("ok  cordwood verify finds nothing")
shutil.rmtree(work)
