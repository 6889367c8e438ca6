# SPDX-License-Identifier: MIT
"""What the parts of `make tools` share: servers that can be stopped, killed and started again, programs that end with the
part whatever happens, and checks that say what they found. A part is run as `part.py BUILD`."""
import atexit, ctypes, os, shutil, signal, socket, subprocess, sys, time

import redis

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
PART = os.path.splitext(os.path.basename(sys.argv[0]))[0].replace("_", "-")
WORK = os.path.join(BUILD, "tools", "work", PART)
DEBIAN = os.path.join(BUILD, "tools", "debian")  # packages that are unpacked, not installed: deps/install.sh

started = []
checks = 0


def say(*words):
    print(*words, flush=True)


def fail(what, detail=""):
    say("  FAILED: %s" % what)
    if detail:
        say("    " + str(detail)[:20000].replace("\n", "\n    "))
    sys.exit(1)


def check(what, holds, detail=""):
    """One thing that is true of what a tool said or did. `what` is shown."""
    global checks
    if not holds:
        fail(what, detail)
    checks += 1
    say("  %s" % what)


def equal(what, got, want):
    check(what, got == want, "got  %r\nwant %r" % (got, want))


def done(program):
    say("%s: %d checks" % (program, checks))


# ---- Programs ---------------------------------------------------------------------------------------------


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start(words, **options):
    """Starts a program that does not outlive the part; nor the thread that calls this, so it is the main one."""
    program = subprocess.Popen(words, preexec_fn=_die_with_parent, **options)
    started.append(program)
    return program


def end(program, sign=signal.SIGTERM, seconds=20):
    """The exit code, once it has ended."""
    if program.poll() is None:
        program.send_signal(sign)
        try:
            program.wait(seconds)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            fail("%s does not end" % program.args[0])
    return program.returncode


@atexit.register
def _kill_all():
    for program in started:
        if program.poll() is None:
            program.kill()
            program.wait()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def run(words, given="", seconds=60):
    """Runs a program to its end: its exit code, output and errors."""
    program = start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, errors = program.communicate(given.encode(), seconds)
    except subprocess.TimeoutExpired:
        fail("%s takes more than %d s" % (" ".join(words), seconds))
    return program.returncode, out.decode(errors="replace"), errors.decode(errors="replace")


def run_for(words, seconds, sign=signal.SIGINT):
    """The output of a program that would go on for ever."""
    program = start(["stdbuf", "-oL"] + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(seconds)
    if program.poll() is None:
        program.send_signal(sign)
    return program.communicate(timeout=20)[0].decode(errors="replace")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(what, condition, seconds=30):
    """Asks again until it is true."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            fail("not within %d s: %s" % (seconds, what))
        time.sleep(0.02)


def make_work():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    return WORK


# ---- Servers ----------------------------------------------------------------------------------------------


class Server:
    """cordwood-server on a free port of 127.0.0.1, with data of its own that stays when it is started again."""

    name = "cordwood"

    def __init__(self, *flags):
        self.port = free_port()
        self.flags = list(flags)
        self.dir = os.path.join(WORK, "%s-%d" % (self.name, self.port))
        os.makedirs(self.dir)
        self.client = redis.Redis(port=self.port)
        self.start()

    def words(self):
        return [os.path.join(BUILD, "cordwood-server"), "--port", str(self.port), "--json-port", "0",
                "--dir", self.dir] + self.flags

    def start(self):
        log = open(self.dir + ".log", "ab")
        self.program = start(self.words(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("%s answers" % self.name, self.answers)

    def answers(self):
        if self.program.poll() is not None:
            fail("%s ended" % self.name, open(self.dir + ".log").read()[-2000:])
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def stop(self):
        code = end(self.program)
        if code != 0:
            fail("%s ended with %d" % (self.name, code), open(self.dir + ".log").read()[-2000:])

    def kill(self):
        end(self.program, signal.SIGKILL)


class RedisServer(Server):
    """redis-server, the peer."""

    name = "redis"

    def words(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--save", ""] + self.flags
