#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis-cli in all its modes. Where a mode's output does not depend on time or memory, redis-cli on redis-server must print
the same."""
import os, re, signal, subprocess, time

from tools import (RedisServer, Server, WORK, check, done, end, equal, make_work, run, run_for, start, wait_until)

make_work()
ours, theirs = Server(), RedisServer()


def words(server, *more):
    return ["redis-cli", "-h", "127.0.0.1", "-p", str(server.port)] + list(more)


def cli(server, *more, given=""):
    return run(words(server, *more), given)


def both(what, *more, given="", order=None):
    """redis-cli on both servers: exit code, output and errors are alike. `order` makes lines comparable."""
    results = []
    for server in (ours, theirs):
        code, out, errors = cli(server, *more, given=given)
        results.append((code, order(out) if order else out, errors))
    equal("%s: as on redis-server" % what, results[0], results[1])
    return results[0][1]


def ordered(out):
    return sorted(out.splitlines())


# ---- Data: the same on both ---------------------------------------------------------------------------------

for server in (ours, theirs):
    for n in range(200):
        server.client.set("string:%03d" % n, "v" * (n + 1))
        server.client.rpush("list:%03d" % n, *range(n + 1))
    for n in range(100):
        server.client.xadd("stream", {"message": "line %d" % n}, id="%d-0" % (n + 1))
    server.client.set("bytes", b"\x00\xff\r\n\"\\z\xc3\xbc")

# ---- Output forms -------------------------------------------------------------------------------------------

version = cli(ours, "--version")[1].split()[1]
XRANGE = ["XRANGE", "stream", "1", "2"]
equal("GET", both("raw", "GET", "string:002"), "vvv\n")
equal("--no-raw", both("--no-raw", "--no-raw", *XRANGE),
      '1) 1) "1-0"\n   2) 1) "message"\n      2) "line 0"\n2) 1) "2-0"\n   2) 1) "message"\n      2) "line 1"\n')
equal("--csv", both("--csv", "--csv", *XRANGE), '"1-0","message","line 0","2-0","message","line 1"\n')
equal("--csv of bytes", both("--csv of bytes", "--csv", "GET", "bytes"), '"\\x00\\xff\\r\\n\\"\\\\z\\xc3\\xbc"\n')
equal("--json", both("--json", "--json", *XRANGE), '[["1-0",["message","line 0"]],["2-0",["message","line 1"]]]\n')
equal("--json of a map", both("--json of a map", "--json", "CONFIG", "GET", "maxclients"), '{"maxclients":"10000"}\n')
both("--quoted-json", "--quoted-json", "GET", "bytes")
equal("-3 of a map", both("-3", "-3", "--no-raw", "CONFIG", "GET", "appendonly*size") + both(
    "-3 of a map", "-3", "--no-raw", "CONFIG", "GET", "maxclients"), '(empty hash)\n1# "maxclients" => "10000"\n')
both("-3 of null", "-3", "--no-raw", "GET", "missing")
both("-2 of null", "-2", "--no-raw", "GET", "missing")
equal("-d", both("-d", "-d", "|", "LRANGE", "list:002", "0", "-1"), "0|1|2\n")
equal("-x", both("-x", "-x", "SET", "from-input", given="a\r\nb\n"), "OK\n")
equal("-x: what was stored", ours.client.get("from-input"), b"a\r\nb\n")
equal("-X", both("-X", "-X", "tag", "SET", "from-tag", "tag", given="\x01\x02"), "OK\n")
equal("-X: what was stored", ours.client.get("from-tag"), b"\x01\x02")
equal("-r and -i", both("-r", "-r", "3", "-i", "0.01", "INCR", "counter"), "1\n2\n3\n")
equal("-n", both("-n", "-n", "3", "SET", "elsewhere", "x"), "OK\n")
equal("-n: in that database", both("-u", "-u", "redis://127.0.0.1:%d/3" % ours.port, "GET", "elsewhere"), "x\n")
equal("--quoted-input", both("--quoted-input", "--quoted-input", "GET", '"by\\x74es"', order=lambda out: out.encode(errors="replace")),
      cli(ours, "GET", "bytes")[1].encode(errors="replace"))
equal("-e: an error is an exit code", cli(ours, "-e", "LPUSH", "bytes", "x")[0], cli(theirs, "-e", "LPUSH", "bytes", "x")[0])
both("an error's text", "LPUSH", "bytes", "x")
both("a script of lines", given="SET lines 1\nINCR lines\nMULTI\nGET lines\nLRANGE list:001 0 -1\nEXEC\nHELLO 9\nSELECT 1\nGET lines\nNOSUCH a b\n")
for command in ("XADD", "LOG.WRITE"):
    out = re.sub(r"\x1b\[\d+m", "", cli(ours, "help", command)[1])
    check("help %s: from COMMAND DOCS" % command, re.search(r"%s\b.*\bkey .*\n.*summary:.* \w" % re.escape(command), out), out)

# ---- Scans --------------------------------------------------------------------------------------------------

equal("--scan: every key once", both("--scan", "--scan", order=ordered), sorted(
    ["string:%03d" % n for n in range(200)] + ["list:%03d" % n for n in range(200)] +
    ["stream", "bytes", "from-input", "from-tag", "counter", "lines"]))
equal("--scan --pattern", both("--scan --pattern", "--scan", "--pattern", "*:19?", order=ordered),
      sorted("%s:%d" % (kind, n) for kind in ("list", "string") for n in range(190, 200)))
equal("--scan --quoted-pattern", both("--scan --quoted-pattern", "--scan", "--quoted-pattern", '"\\x62ytes"'), "bytes\n")


def summary(out):
    """The lines behind the scan, without their quotation marks; types stand in any order."""
    text = out[out.index("-------- summary -------"):]
    return sorted(re.sub(r"\s+", " ", line).replace("'", "") for line in text.splitlines() if line)


found = both("--bigkeys", "--bigkeys", order=summary)
check("--bigkeys: the biggest list, string and stream by name and size",
      'Biggest list found "list:199" has 200 items' in found and 'Biggest string found "string:199" has 200 bytes' in found and
      'Biggest stream found "stream" has 100 entries' in found, found)
check("--bigkeys: how many and how large", "200 lists with 20100 items (49.26% of keys, avg size 100.50)" in found and
      "1 streams with 100 entries (00.25% of keys, avg size 100.00)" in found, found)
out = cli(ours, "--memkeys")[1]
lists = re.search(r"""Biggest\s+list found '"(.*)"' has (\d+) bytes""", out)
check("--memkeys: the biggest list is the one that MEMORY USAGE calls so",
      lists and int(lists[2]) == ours.client.execute_command("MEMORY", "USAGE", lists[1]) and lists[1] == "list:199", out)
out = cli(ours, "--memkeys", "--memkeys-samples", "0")[1]
check("--memkeys --memkeys-samples 0", "Sampled 406 keys in the keyspace!" in out, out)
both("--hotkeys: the error without an LFU policy", "--hotkeys", order=lambda out: out[out.index("[00.00%]") if "[00.00%]" in out else 0:])

# ---- Figures over time --------------------------------------------------------------------------------------

waiting = start(words(ours, "BLPOP", "nobody", "20"), stdout=subprocess.DEVNULL)
wait_until("somebody is blocked", lambda: ours.client.info("clients")["blocked_clients"] == 1)
out = run_for(words(ours, "--stat", "-i", "0.2"), 1.1)
end(waiting)
lines = [re.split(r"\s{2,}|\s(?=\()", line.strip()) for line in out.splitlines() if re.match(r"\d", line)]
check("--stat: a line an interval", 3 <= len(lines) <= 8, out)
check("--stat: keys of all databases, clients, blocked", all(line[0] == str(ours.client.dbsize() + 1) and int(line[2]) >= 2 and line[3] == "1" for line in lines), out)
check("--stat: memory is shown in megabytes", all(re.fullmatch(r"\d+\.\d+M", line[1]) for line in lines), out)
requests = [int(re.match(r"\d+", line[4])[0]) for line in lines]
check("--stat: requests go up by one INFO an interval", all(b - a >= 1 for a, b in zip(requests, requests[1:])), out)

least, most, mean, count = cli(ours, "--latency", "-i", "0.5")[1].split()
check("--latency: least <= mean <= most, dozens of PINGs", 0 <= int(least) <= float(mean) <= int(most) and int(count) >= 20,
      (least, most, mean, count))
least, most, mean, count = cli(ours, "--latency", "-i", "0.3", "--csv")[1].strip().split(",")
check("--latency --csv", float(mean) <= int(most), (least, most, mean, count))
out = run_for(words(ours, "--no-raw", "--latency-history", "-i", "0.3"), 1.1)
check("--latency-history: a line an interval", len(re.findall(r"min: \d+, max: \d+, avg: [\d.]+ \(\d+ samples\) -- 0\.\d\d seconds range", out)) >= 2, out)
out = run_for(words(ours, "--latency-dist", "-i", "0.3"), 1.1)
check("--latency-dist: draws its spectrum", out.count("\x1b[48;5;") > 20, repr(out[:400]))

# ---- Mass insertion -----------------------------------------------------------------------------------------


def encoded(*command):
    return "*%d\r\n" % len(command) + "".join("$%d\r\n%s\r\n" % (len(word), word) for word in command)


commands = "".join(encoded("XADD", "piped", "%d-0" % (n + 1), "message", "line %d" % n) for n in range(20000))
for server in (ours, theirs):
    code, out, errors = cli(server, "--pipe", given=commands)
    check("--pipe on %s: 20,000 replies, no error" % server.name, code == 0 and "errors: 0, replies: 20000" in out, out + errors)
check("--pipe: what was stored", [fields[b"message"] for _, fields in ours.client.xrange("piped")] == [b"line %d" % n for n in range(20000)])
commands = encoded("SET", "piped:1", "1") + encoded("LPUSH", "piped:1", "x") + encoded("NOSUCH") + encoded("INCR", "piped:1")
out = both("--pipe with errors", "--pipe", given=commands)
check("--pipe with errors: both are counted", "errors: 2, replies: 4" in out, out)
check("--pipe with errors: the others are done", ours.client.get("piped:1") == b"2")
both("--pipe of plain lines", "--pipe", given="SET inline 1\nINCR inline\n")
both("--pipe with --pipe-timeout", "--pipe", "--pipe-timeout", "2", given=encoded("PING"))

# ---- Those that listen --------------------------------------------------------------------------------------


def listens(what, listen, ready, act, shown, more=()):
    """What redis-cli prints on each server while `act` does its work; alike but for what `shown` takes away."""
    printed = []
    for server in (ours, theirs):
        listener = start(words(server, *more, *listen), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        os.set_blocking(listener.stdout.fileno(), False)
        text = ""

        def has(part):
            nonlocal text
            text += (listener.stdout.read() or b"").decode()
            return part in text

        wait_until("redis-cli listens", lambda: has(ready))
        act(server.client)
        wait_until("%s prints its last message" % what, lambda: has("last"))
        end(listener, signal.SIGINT)
        text += (listener.stdout.read() or b"").decode()
        printed.append([shown(line) for line in text.splitlines()])
    equal("%s: as on redis-server" % what, printed[0], printed[1])
    return printed[0]


def publish(client):
    client.publish("news", "one\r\ntwo")
    client.publish("old", "unheard")
    client.publish("news", "last")


def work(client):
    client.set("monitored", b"a\"\x01\xff")
    pipeline = client.pipeline(transaction=True)
    pipeline.incr("monitored:2")
    pipeline.execute()
    client.lrange("monitored:last", 0, -1)


for more in ((), ("-3",), ("--csv",)):
    listens(" ".join(("SUBSCRIBE",) + more), ("SUBSCRIBE", "news", "others"), "others", publish, str, more)
listens("PSUBSCRIBE", ("PSUBSCRIBE", "n*"), "n*", publish, str)
lines = listens("MONITOR", ("MONITOR",), "OK", work, lambda line: re.sub(r"^\d+\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\]", r"TIME [\1 ADDRESS]", line))
check("MONITOR: the commands in their order", [line.split("] ")[-1] for line in lines if "ADDRESS" in line and "CLIENT" not in line] == [
    '"SET" "monitored" "a\\"\\x01\\xff"', '"MULTI"', '"INCRBY" "monitored:2" "1"', '"EXEC"', '"LRANGE" "monitored:last" "0" "-1"'], lines)

# ---- What there is not --------------------------------------------------------------------------------------

dump = os.path.join(WORK, "dump.rdb")
for mode in ("--rdb", "--functions-rdb"):
    code, out, errors = cli(ours, mode, dump)
    check("%s: an error that says why" % mode, code != 0 and "unknown command" in out + errors and not (os.path.exists(dump) and os.path.getsize(dump)), (code, out, errors))
code, out, errors = cli(ours, "--replica")
check("--replica: an error that says why", code != 0 and "unknown command" in out + errors, (code, out, errors))
code, out, errors = cli(ours, "EVAL", "return 1", "0")
check("EVAL: there are no scripts", "unknown command 'EVAL'" in out + errors, out + errors)

# ---- A password, and a server that comes back -----------------------------------------------------------------

ours.client.config_set("requirepass", "secret")
theirs.client.config_set("requirepass", "secret")
both("without the password", "GET", "counter")
equal("-a", both("-a", "-a", "secret", "--no-auth-warning", "GET", "counter"), "3\n")
both("-a with a wrong one", "-a", "wrong", "--no-auth-warning", "GET", "counter")
equal("--user", both("--user", "--user", "default", "--pass", "secret", "--no-auth-warning", "GET", "counter"), "3\n")
ours.stop()
equal("while it is stopped: redis-cli says so", cli(ours, "PING")[0], 1)
ours.start()
equal("after a restart", cli(ours, "GET", "counter")[1], "3\n")
done("redis-cli %s" % version)
