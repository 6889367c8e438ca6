#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""shippers.py BUILD rsyslog|syslog-ng: a syslog daemon of Debian ships lines to the server, while that is stopped, killed and started
again: every line arrives, at least once. The daemon has a socket, queues and state of its own, and needs no privileges."""
import collections, os, signal, socket, subprocess, sys, time

import tools
from tools import BUILD, DEBIAN, Server, check, done, end, equal, fail, make_work, start, wait_until

KIND = sys.argv[2]
tools.WORK = os.path.join(BUILD, "tools", "work", KIND)
WORK = make_work()
LINES = 3000  # a phase
SOCKET = "/tmp/cordwood-tools-%d.sock" % os.getpid()  # a path below BUILD may be too long for one
LIBRARIES = os.path.join(DEBIAN, "usr/lib/syslog-ng")

# mode "queue" pushes to a list, "template" is any command; the disk-assisted queue and the endless retries are what its
# documentation gives for a peer that goes away.
RSYSLOG = """
global(workDirectory="{work}/state" net.enableDNS="off")
main_queue(queue.type="LinkedList" queue.size="100000")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{socket}")
module(load="omhiredis")
template(name="line" type="string" string="%msg:2:$%")
template(name="xadd" type="string" string="XADD rsyslog-stream * message %msg:2:$%")
action(type="omhiredis" name="list" server="127.0.0.1" serverport="{port}" mode="queue" key="rsyslog-list" userpush="on" template="line"
    action.resumeRetryCount="-1" action.resumeInterval="1" action.resumeIntervalMax="1"
    queue.type="LinkedList" queue.filename="list" queue.size="2000" queue.maxDiskSpace="64m" queue.saveOnShutdown="on")
action(type="omhiredis" name="stream" server="127.0.0.1" serverport="{port}" mode="template" template="xadd"
    action.resumeRetryCount="-1" action.resumeInterval="1" action.resumeIntervalMax="1"
    queue.type="LinkedList" queue.filename="stream" queue.size="2000" queue.maxDiskSpace="64m" queue.saveOnShutdown="on")
"""

# A reliable disk buffer keeps a line until the server has acknowledged it; flow-control stops reading when it is full.
SYSLOG_NG = """@version: 3.38
options {{ keep-hostname(yes); use-dns(no); stats-freq(0); time-reopen(1); }};
source here {{ unix-dgram("{socket}" so-rcvbuf(1048576)); }};
destination list {{ redis(host("127.0.0.1") port({port}) command("RPUSH", "syslog-ng-list", "${{MESSAGE}}") persist-name("list")
    retries(1000) disk-buffer(reliable(yes) disk-buf-size(67108864) mem-buf-size(1048576) dir("{work}/state"))); }};
destination stream {{ redis(host("127.0.0.1") port({port}) command("XADD", "syslog-ng-stream", "*", "message", "${{MESSAGE}}", "program", "${{PROGRAM}}") persist-name("stream")
    retries(1000) batch-lines(100) batch-timeout(100) disk-buffer(reliable(yes) disk-buf-size(67108864) mem-buf-size(1048576) dir("{work}/state"))); }};
log {{ source(here); destination(list); destination(stream); flags(flow-control); }};
"""


def daemon():
    """The words that start it in the foreground, and its environment."""
    config = os.path.join(WORK, "%s.conf" % KIND)
    with open(config, "w") as file:
        file.write((RSYSLOG if KIND == "rsyslog" else SYSLOG_NG).format(work=WORK, socket=SOCKET, port=server.port))
    state = os.path.join(WORK, "state")
    os.makedirs(state, exist_ok=True)
    if KIND == "rsyslog":
        return [os.path.join(DEBIAN, "usr/sbin/rsyslogd"), "-n", "-f", config, "-i", os.path.join(state, "pid"),
                "-M", os.path.join(DEBIAN, "usr/lib/x86_64-linux-gnu/rsyslog")], os.environ
    return [os.path.join(DEBIAN, "usr/sbin/syslog-ng"), "-F", "-f", config, "--no-caps", "-R", os.path.join(state, "persist"),
            "-p", os.path.join(state, "pid"), "-c", os.path.join(WORK, "control"),
            "--module-path", os.path.join(LIBRARIES, "3.38")], dict(os.environ, LD_LIBRARY_PATH=LIBRARIES)


def start_daemon():
    words, environment = daemon()
    log = open(os.path.join(WORK, "daemon.log"), "ab")
    program = start(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def listens():
        if program.poll() is not None:
            fail("%s ended" % KIND, open(log.name).read()[-3000:])
        return os.path.exists(SOCKET)

    wait_until("%s listens" % KIND, listens)
    return program


sent = []


def log_lines(count=LINES):
    """Waits while the socket is full, as syslog() does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.connect(SOCKET)
        for _ in range(count):
            line = "n=%06d;path=/index.html;status=200;bytes=%d" % (len(sent), len(sent) * 37 % 9999)
            speaker.sendall(("<134>%s tester[1]: %s" % (time.strftime("%b %e %H:%M:%S"), line)).encode())
            sent.append(line)


def arrived():
    """What is in the list, and in the stream."""
    client = server.client
    lists = [line.decode() for line in client.lrange(KIND + "-list", 0, -1)]
    streams, first = [], "-"
    while True:
        page = client.xrange(KIND + "-stream", first, "+", 1000)
        if not page:
            return lists, streams
        streams += [fields[b"message"].decode() for _, fields in page]
        first = b"(" + page[-1][0]


def all_arrived(what):
    wanted = set(sent)
    until = time.monotonic() + 60
    while True:
        got = arrived()
        if all(wanted <= set(lines) for lines in got):
            break
        if time.monotonic() > until:
            log = open(os.path.join(WORK, "daemon.log")).read()[-1500:]
            fail(what, "\n".join("%s: %d lines are missing, the first %s" % (name, len(wanted - set(lines)), sorted(wanted - set(lines))[:3])
                                 for name, lines in zip(("list", "stream"), got) if wanted - set(lines)) + "\n" + log)
        time.sleep(0.1)
    for name, lines in zip(("list", "stream"), got):
        counts = collections.Counter(lines)
        twice = sum(count - 1 for count in counts.values())
        strange = [line for line in counts if line not in wanted]
        check("%s: all %d lines are in the %s, byte by byte; %d came more than once" % (what, len(wanted), name, twice), not strange, strange[:3])
    return got


server = Server()
shipper = start_daemon()
try:
    log_lines()
    lists, streams = all_arrived("at rest")
    equal("at rest: the list is in order, each line once", lists, sent)
    equal("at rest: the stream is in order, each line once", streams, sent)

    log_lines(500)
    server.stop()
    log_lines()
    server.start()
    log_lines(500)
    all_arrived("over a stop by SIGTERM")

    for again in range(3):
        log_lines(500)
        server.kill()
        log_lines(1000)
        server.start()
        log_lines(500)
    all_arrived("over three kill -9")

    if KIND == "syslog-ng":
        # rsyslogd that is stopped while the server is away loses the lines that its action has in hand.
        server.kill()
        log_lines()
        end(shipper)
        shipper = start_daemon()
        server.start()
        all_arrived("logged while the server is away, the shipper started again")

        # Without batches: of those it does not look at the replies, as omhiredis never does.
        server.client.config_set("maxmemory", 1)
        log_lines(100)
        wait_until("refused", lambda: "errorstat_OOM" in server.client.info("errorstats"))
        server.client.config_set("maxmemory", 0)
        wait_until("over -OOM errors", lambda: set(sent) <= set(arrived()[0]), 60)
        check("over -OOM errors: all %d lines are in the list" % len(sent), True)
    end(shipper)
finally:
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
words, environment = daemon()
version = subprocess.run([words[0], "-v" if KIND == "rsyslog" else "-V"], env=environment, capture_output=True, text=True).stdout
version = version.split("(")[1].split(")")[0] if KIND == "syslog-ng" else version.split()[1]
done("%s %s" % (KIND, version))
