# SPDX-License-Identifier: GPL-3.0-or-later
"""How the programs on the machines under test are asked, and how they answer.

A program (agent.py, inspector.py, saboteur.py, storage_agent.py) reads one JSON request a line from standard input and writes one
JSON answer a line to standard output:

    {"call": "open", "limit": 10, "connection": "source", "uri": "qemu+tcp://..."}
    {"ok": true, "result": {...}, "seconds": 0.002}
    {"ok": false, "error": {"code": 38, "domain": 7, "message": "..."}, "seconds": 0.002}

``limit`` is in seconds: a program whose call takes longer ends itself, because the controller has given it up and cannot always
reach it to end it.  The controller's side is agent_process.py.  It also sends the programs, and this file with each of them, so
nothing is installed on the machine.  All of them use the standard library only (the agent libvirt's binding too), in the syntax
that Python 2.6 and 3.13 share.
"""

import json
import signal
import sys
import time


def failure(error):
    """An exception as the answer's error."""
    return {"code": None, "domain": None, "message": "%s: %s" % (type(error).__name__, error)}


def serve(calls, failure=failure):
    """Answer requests until standard input ends.

    Every public method of ``calls`` is a call; its keyword arguments are the request's fields.  ``failure`` returns the answer's
    error for an exception.
    """
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        sys.stdout.write(json.dumps(answer(calls, json.loads(line), failure)) + "\n")
        sys.stdout.flush()


def answer(calls, request, failure=failure):
    """Carry out one request and return the answer."""
    fields = dict([(str(key), value) for key, value in request.items()])
    call = getattr(calls, fields.pop("call"))
    started = time.time()
    signal.alarm(fields.pop("limit"))
    try:
        result = call(**fields)
    except Exception as error:
        return {"ok": False, "error": failure(error), "seconds": time.time() - started}
    finally:
        signal.alarm(0)
    return {"ok": True, "result": result, "seconds": time.time() - started}
