#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""profile.py BUILD [DOCUMENT]: instructions a command, by layer, counted by callgrind.

cordwood-server and redis-server get the same requests over one connection, 16 or 1 at a time; only
the event loop's thread is counted, and only during the requests. A layer's figure is the self cost of
its source files, pieces inlined elsewhere included. Prints the table and, for each command, the
functions that cost most; writes both to BUILD/profile.md. With DOCUMENT the table between the lines
<!-- profile --> and <!-- profile end --> of that file is replaced.

PROFILE_COMMANDS= (2000) commands a case; PROFILE_ONLY= cases whose name contains it."""
import collections
import os
import random
import re
import sys

import callgrind
from profiled_server import Connection, ProfiledServer, encode

COMMANDS = int(os.environ.get("PROFILE_COMMANDS", 2000))
ONLY = os.environ.get("PROFILE_ONLY", "")
FILLED = 10000  # entries, elements, keys that reads find
RANGE = 100
TOP = 15
LAYERS = ["server", "libuv", "resp", "json", "commands", "types", "lsm", "base", "vfs", "lz4", "xxhash",
          "malloc", "libc", "other"]
FLAGS = {"cordwood": ["--json-port", "0", "--json-unixsocket", "{dir}/json.sock"],
         "redis": ["--save", "", "--appendonly", "yes"]}
MALLOC = re.compile(r"malloc|calloc|realloc|free$|_int_free|unlink_chunk|systrim|s?brk$|morecore")
CLOCK = re.compile(r"clock_gettime|gettimeofday|^time$")


def log_line(numbers):
    """As the benchmark's: a line such as services write, 100 to 140 bytes."""
    shape = numbers.choice([
        "2024-06-07T12:%02d:%02d.%03dZ INFO  api-gateway request id=%08x path=/v1/orders/%d status=200 took=%d ms",
        "2024-06-07T12:%02d:%02d.%03dZ WARN  storage slow flush of segment %08x: %d bytes in %d ms, queue is growing",
        "2024-06-07T12:%02d:%02d.%03dZ DEBUG scheduler task %08x moved to worker %d after %d retries on this node",
        "2024-06-07T12:%02d:%02d.%03dZ ERROR payments card %08x was declined for account %d, attempt number %d"])
    return shape % (numbers.randrange(60), numbers.randrange(60), numbers.randrange(1000),
                    numbers.getrandbits(32), numbers.randrange(1000000), numbers.randrange(1000))


Case = collections.namedtuple("Case", "name request is_json only count again", defaults=(False, None, 1, 0))
# `count`: a case's commands are COMMANDS / count, for those that cost more. `again`: so often they were sent before
# they are counted, for what the server keeps of them.

WRITES = [
    Case("XADD", lambda n: encode("XADD", "stream", "*", "message", log_line(n))),
    Case("LOG.WRITE", lambda n: encode("LOG.WRITE", "log", "LEVEL", "info", "--", log_line(n)),
         only="cordwood"),
    Case("JSON write", lambda n: ('{"action":"write","log":"json","message":"%s","metadata":{"level":"INFO"}}\n'
                                  % log_line(n)).encode(), is_json=True, only="cordwood"),
    Case("SET", lambda n: encode("SET", f"key:{n.randrange(FILLED):06}", log_line(n))),
    Case("LPUSH", lambda n: encode("LPUSH", "list", log_line(n))),
]
READS = [
    Case("GET", lambda n: encode("GET", f"key:{n.randrange(FILLED):06}")),
    Case("XRANGE 100", lambda n: encode("XRANGE", "filled", 1 + n.randrange(FILLED - RANGE), "+", "COUNT", RANGE),
         count=10, again=3),
    Case("XREVRANGE 100", lambda n: encode("XREVRANGE", "filled", RANGE + n.randrange(FILLED - RANGE), "-", "COUNT", RANGE),
         count=10),
    Case("LRANGE 100", lambda n: encode("LRANGE", "filled-list", 0, RANGE - 1), count=10),
]


def fill(server):
    numbers = random.Random(1)
    connection = Connection(server.path)
    makers = [lambda i: encode("SET", f"key:{i:06}", log_line(numbers)),
              lambda i: encode("XADD", "filled", f"{i + 1}-0", "message", log_line(numbers)),
              lambda i: encode("RPUSH", "filled-list", log_line(numbers))]
    for make in makers:
        for first in range(0, FILLED, 100):
            connection.send([make(i) for i in range(first, first + 100)])
    connection.close()


class Result:
    """Of one case: costs a command."""

    def __init__(self, name, pipeline, costs, commands):
        self.name, self.pipeline = name, pipeline
        self.layers, self.functions = collections.Counter(), collections.Counter()
        self.calls = self.clocks = 0
        for place, cost in costs.items():
            layer = layer_of(place)
            self.layers[layer] += cost["Ir"] / commands
            self.functions[(place.function, layer)] += cost["Ir"] / commands
            if CLOCK.search(place.function):
                self.clocks += cost["sysCount"] / commands
            else:
                self.calls += cost["sysCount"] / commands
        self.all = sum(self.layers.values())


def layer_of(place):
    source = re.search(r"/src/([a-z]+)/[^/]*$", place.file)
    library = os.path.basename(place.object)
    if library == "cordwood-server" and place.file.endswith("/xxhash.h"):
        return "xxhash"
    if library == "cordwood-server":
        return source.group(1) if source and source.group(1) in LAYERS else "other"
    for name in ("libuv", "lz4", "libc"):
        if re.match(rf"(lib)?{name}\b", library):
            return "malloc" if name == "libc" and MALLOC.search(place.function) else name
    return "malloc" if "jemalloc" in library else "other"


def measure(server, case, pipeline, where=""):
    numbers = random.Random(2)
    commands = max(COMMANDS // case.count // pipeline, 4) * pipeline
    requests = [case.request(numbers) for _ in range(commands + 2 * pipeline)]
    connection = Connection(server.json_path if case.is_json else server.path, case.is_json)

    def run(first, last):
        for at in range(first, last, pipeline):
            connection.send(requests[at:at + pipeline])

    run(0, 2 * pipeline)  # first uses of things are not what is measured
    for _ in range(case.again):
        run(0, len(requests))
    dump = server.count(lambda: run(2 * pipeline, len(requests)))
    connection.close()
    return Result(case.name + where, pipeline, callgrind.read(dump), commands)


def wanted(cases, kind):
    return [case for case in cases if ONLY in case.name and case.only in (None, kind)]


def profile(kind, program):
    server = ProfiledServer(program, FLAGS[kind])
    try:
        fill(server)
        results = [measure(server, case, pipeline) for case in wanted(READS + WRITES, kind)
                   for pipeline in (16, 1)]
        if kind == "cordwood":
            compact = Connection(server.path)
            compact.send([encode("DEBUG", "COMPACT")])
            compact.close()
            overwrites = [case for case in WRITES if case.name == "SET"]  # looks for the old value
            results += [measure(server, case, 16, ", tables") for case in wanted(READS + overwrites, kind)]
    finally:
        server.stop()
    return results


def table(results, peers):
    used = [layer for layer in LAYERS if any(result.layers[layer] >= 0.5 for result in results)]
    rows = [["command", "pipe", "all", *used, "kernel calls", "clock", "redis", "its calls"]]
    rows.append(["---"] + ["---:"] * (len(rows[0]) - 1))
    for result in results:
        peer = peers.get((result.name, result.pipeline))
        rows.append([result.name, f"{result.pipeline}", f"{result.all:.0f}",
                     *(f"{result.layers[layer]:.0f}" for layer in used),
                     f"{result.calls:.2f}", f"{result.clocks:.2f}",
                     f"{peer.all:.0f}" if peer else "", f"{peer.calls:.2f}" if peer else ""])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def functions(result):
    text = f"\n{result.name}, {result.pipeline} at a time: {result.all:.0f} instructions\n\n"
    for (name, layer), cost in result.functions.most_common(TOP):
        text += f"    {cost:10.1f} {100 * cost / result.all:5.1f}%  {layer:9} {name}\n"
    return text


def replace_table(path, text):
    with open(path) as file:
        document = file.read()
    changed, count = re.subn(r"(<!-- profile -->\n).*?(<!-- profile end -->)",
                             lambda match: f"{match.group(1)}\n{text}\n{match.group(2)}", document, flags=re.S)
    if count != 1:
        sys.exit(f"{path} has no <!-- profile --> ... <!-- profile end -->")
    with open(path, "w") as file:
        file.write(changed)


def main():
    build = sys.argv[1]
    peers = {(result.name, result.pipeline): result for result in profile("redis", "redis-server")}
    results = profile("cordwood", os.path.abspath(os.path.join(build, "cordwood-server")))
    results.sort(key=lambda result: [case.name for case in WRITES + READS].index(result.name.split(",")[0]))
    text = table(results, peers)
    report = text + "".join(functions(result) for result in results)
    print(report)
    with open(os.path.join(build, "profile.md"), "w") as file:
        file.write(report)
    if len(sys.argv) > 2:
        replace_table(sys.argv[2], text)


main()
