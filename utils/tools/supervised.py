#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""supervised.py BUILD SCRIPT: runs a check in JavaScript beside a server that is started again whenever it has ended. The packages
are those of BUILD/tools/node_modules."""
import os, sys, time

import tools
from tools import BUILD, HERE, Server, end, fail, start

SECONDS_MAX = 120

script = sys.argv[2]
tools.WORK = os.path.join(BUILD, "tools", "work", script)
tools.make_work()
server = Server()
check = start(["node", os.path.join(HERE, script + ".js")], env=dict(
    os.environ, CORDWOOD_PORT=str(server.port), NODE_PATH=os.path.join(BUILD, "tools", "node_modules")))
until = time.monotonic() + SECONDS_MAX
while check.poll() is None:
    if server.program.poll() is not None:
        server.start()
    if time.monotonic() > until:
        fail("%s takes more than %d s" % (script, SECONDS_MAX))
    time.sleep(0.02)
server.stop()
sys.exit(check.returncode)
