# SPDX-License-Identifier: MIT
"""A server under callgrind, and a client that counts replies."""
import os
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS_MAX = 60


def encode(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Connection:
    """To a unix socket; `is_json`: a reply is a line."""

    def __init__(self, path, is_json=False):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.input = self.socket.makefile("rb")
        self.is_json = is_json

    def send(self, requests):
        """Sends them together and takes their replies."""
        self.socket.sendall(b"".join(requests))
        for _ in requests:
            self.take_json() if self.is_json else self.take_reply()

    def take_json(self):
        line = self.input.readline()
        if not line.startswith(b'{"status":"ok"'):
            raise RuntimeError(f"the server says: {line[:200]!r}")

    def take_reply(self):
        awaited = 1
        while awaited:
            line = self.input.readline()
            kind, rest = line[:1], line[1:].strip()
            if kind in (b"", b"-"):
                raise RuntimeError(f"the server says: {line[:200]!r}")
            awaited -= 1
            if kind == b"$" and int(rest) >= 0:
                self.input.read(int(rest) + 2)
            elif kind == b"*" and int(rest) > 0:
                awaited += int(rest)

    def close(self):
        self.input.close()
        self.socket.close()


class ProfiledServer:
    """`program` with `flags` under callgrind, counting only what count() runs. Its data and
    callgrind's files are in a directory of its own."""

    def __init__(self, program, flags):
        self.directory = tempfile.TemporaryDirectory(prefix="cordwood-profile-")
        self.path = os.path.join(self.directory.name, "redis.sock")
        self.json_path = os.path.join(self.directory.name, "json.sock")
        flags = [flag.replace("{dir}", self.directory.name) for flag in flags]
        self.log = open(os.path.join(self.directory.name, "log"), "w+")
        self.process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes",
             "--collect-systime=nsec", f"--callgrind-out-file={self.directory.name}/callgrind",
             program, "--port", "0", "--dir", self.directory.name, "--unixsocket", self.path, *flags],
            stdout=self.log, stderr=self.log, cwd=self.directory.name)
        self.dumps = 0
        self.wait_ready()

    def fail(self, what):
        self.log.seek(0)
        raise RuntimeError(f"{what}\n{self.log.read()}")

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                connection = Connection(self.path)
                connection.send([encode("PING")])
                connection.close()
                return
            except (OSError, RuntimeError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.fail("the server did not start under valgrind")
            time.sleep(0.1)

    def control(self, *arguments):
        done = subprocess.run(["callgrind_control", *arguments, str(self.process.pid)],
                              capture_output=True, text=True, timeout=60)
        if "OK" not in done.stdout:
            self.fail(f"callgrind_control {arguments}: {done.stdout}{done.stderr}")

    def count(self, run):
        """Counts what the first thread, the event loop, does during run(); the path of the dump."""
        self.control("-i", "on")
        run()
        self.control("-i", "off")
        self.control("-d")
        self.dumps += 1
        return f"{self.directory.name}/callgrind.{self.dumps}-01"

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()
        self.directory.cleanup()
