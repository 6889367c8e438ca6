#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis-commander in front of a server, and Debian's Chromium in front of it (redis_commander.js)."""
import os, subprocess, sys, urllib.request

from tools import BUILD, HERE, Server, WORK, fail, free_port, make_work, say, start, wait_until

make_work()
modules = os.path.join(BUILD, "tools", "node_modules")
server = Server()
port = free_port()
url = "http://127.0.0.1:%d/" % port
log = open(os.path.join(WORK, "redis-commander.log"), "wb")
commander = start(["node", os.path.join(modules, "redis-commander", "bin", "redis-commander.js"), "--redis-host", "127.0.0.1",
                   "--redis-port", str(server.port), "--address", "127.0.0.1", "--port", str(port), "--noload", "--nosave"],
                  env=dict(os.environ, HOME=WORK), cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def answers():
    if commander.poll() is not None:
        fail("redis-commander ended", open(log.name).read())
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


wait_until("redis-commander answers", answers)
say("  %s" % subprocess.run(["chromium", "--version"], capture_output=True, text=True).stdout.strip())
screenshot = os.path.join(BUILD, "tools", "redis-commander.png")
browser = start(["node", os.path.join(HERE, "redis_commander.js")], env=dict(
    os.environ, NODE_PATH=modules, CORDWOOD_PORT=str(server.port), COMMANDER_URL=url, SCREENSHOT=screenshot,
    PROFILE=os.path.join(WORK, "chromium")))
try:
    code = browser.wait(180)
except subprocess.TimeoutExpired:
    fail("the browser takes more than 180 s")
sys.exit(code)
