# SPDX-License-Identifier: GPL-3.0-or-later
"""The syntax of agent, inspector, saboteur and storage agent, and of what is sent with them, is what Python 2.6 and 3 share.
What they answer is tested in test_agent_protocol.py, test_inspector.py, test_saboteur.py and test_storage_agent.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from interpreters import interpreters
from migration_lab.cell import agent, inspector, saboteur, storage_agent
from migration_lab.cell.agent_process import BOOTSTRAP, PARTS, sent
from python_2_6 import newer_syntax

PROGRAMS = (agent, inspector, saboteur, storage_agent)
MODULES = pytest.mark.parametrize("module", [*PARTS, *PROGRAMS], ids=lambda module: module.__name__.rpartition(".")[2])


def source(module: ModuleType) -> str:
    assert module.__file__
    return Path(module.__file__).read_text(encoding="utf-8")


@MODULES
def test_program_is_ascii(module: ModuleType) -> None:
    assert source(module).isascii(), "in Python 2 other letters would be bytes"


@MODULES
def test_program_has_no_syntax_or_library_that_python_2_6_lacks(module: ModuleType) -> None:
    assert newer_syntax(source(module)) == []


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__.rpartition(".")[2])
def test_program_starts_with_what_is_sent_and_ends_with_its_input(program: ModuleType, python: str) -> None:
    done = subprocess.run([python, "-c", BOOTSTRAP], input=sent(program), capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")


def test_bootstrap_has_none_either() -> None:
    # exec of a tuple is Python 2's statement and Python 3's function alike.
    assert newer_syntax(BOOTSTRAP) == ["name exec"]
    assert re.search(r"exec\(compile\(.*\), .*__dict__\)$", BOOTSTRAP, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("f'{1}'", "f-string"),
        ("x: int = 1", "annotation"),
        ("def f(x: int): pass", "annotation"),
        ("def f(*x: int): pass", "annotation"),
        ("def f() -> int: pass", "annotation"),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2", "nonlocal"),
        ("def f(*, x): pass", "keyword-only argument"),
        ("def f(*x, y=1): pass", "keyword-only argument"),
        ("lambda *, x: x", "keyword-only argument"),
        ("def f(x, /): pass", "positional-only argument"),
        ("try:\n    pass\nexcept Exception as e:\n    raise ValueError() from e", "raise ... from"),
        ("raise ValueError() from None", "raise ... from"),
        ("def f():\n    yield from []", "yield from"),
        ("def f():\n    yield 1\n    return 2", "return with a value in a generator"),
        ("{x for x in []}", "set comprehension"),
        ("{x: x for x in []}", "dict comprehension"),
        ("{1, 2}", "set literal"),
        ("async def f(): pass", "async"),
        ("(x := 1)", "walrus"),
        ("x = 1\nx @ x", "matrix multiplication"),
        ("x = 1\nx @= x", "matrix multiplication"),
        ("dict(**{}, **{})", "several unpackings in a call"),
        ("max(*[1], *[2])", "several unpackings in a call"),
        ("max(*[1], 2)", "argument after an unpacking"),
        ("dict(**{}, x=1)", "argument after an unpacking"),
        ("dict(x=1, *[])", "unpacking after a keyword argument"),
        ("max(*[1],)", "comma after an unpacking"),
        ("dict(**{},)", "comma after an unpacking"),
        ("def f(*x,): pass", "comma after a star argument"),
        ("def f(**x, ): pass", "comma after a star argument"),
        ("[*[1]]", "unpacking outside a call"),
        ("x, *y = [1]", "unpacking outside a call"),
        ("{**{}}", "unpacking outside a call"),
        ("1_000", "underscore in a number"),
        ("0x_ff", "underscore in a number"),
        ("print('x', end='')", "name print"),
        ("print('x')", "name print"),
        ("'{}'.format(1)", "format with automatic numbers"),
        ("'{:d}'.format(1)", "format with automatic numbers"),
        ("'{!r}'.format(1)", "format with automatic numbers"),
        ("x = '{}'\nx.format(1)", "format with automatic numbers"),
        ("try:\n    pass\nexcept* ValueError:\n    pass", "except*"),
        ("x = y = 1\nwith x as a, y as b:\n    pass", "with of several"),
        ("match 1:\n    case 1: pass", "match"),
        ("class A(metaclass=type): pass", "class keyword"),
        ("x = [1]\n@x[0]\ndef f(): pass", "decorator that is an expression"),
        ("class A(object):\n    def f(self):\n        super().f()", "super without arguments"),
        ("u'x'", "prefix of a literal"),
        ("rb'x'", "prefix of a literal"),
        ("...", "ellipsis"),
        ("from __future__ import annotations", "import from __future__"),
        ("from time import time", "import from time"),
        ("from ..model import case", "import from model"),
        ("import subprocess", "import subprocess"),
        ("import os.path", "import os.path"),
        ("import time\ntime.monotonic()", "time.monotonic"),
        ("import sys\nsys.stdout.buffer.write('x')", "sys.stdout.buffer"),
        ("import sys\nsys.version_info.major", "sys.version_info.major"),
        ("import os\nos.path.relpath('x').casefold", "os.path.relpath"),
        ("import os\nos.scandir('x')", "os.scandir"),
        ("import re\nre.fullmatch('x', 'x')", "re.fullmatch"),
        ("import hashlib\nhashlib.sha3_256()", "hashlib.sha3_256"),
        ("import sys\nsys.maxint", "sys.maxint"),
        ("import signal\nsignal.pthread_kill(1, 1)", "signal.pthread_kill"),
        ("import json\njson.JSONDecodeError", "json.JSONDecodeError"),
        ("memoryview", "name memoryview"),
        ("FileNotFoundError", "name FileNotFoundError"),
        ("unicode", "name unicode"),
        ("exec('x')", "name exec"),
    ],
)
def test_newer_syntax_is_found(text: str, problem: str) -> None:
    if sys.version_info < (3, 11) and problem == "except*":
        pytest.skip("this Python has no except*")
    assert problem in newer_syntax(text)


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, b=1, *c, **d):\n    return max(a, *c)\nf(1, *[2], b=3, **{})",
        "try:\n    x = 1\nexcept (ValueError, KeyError) as error:\n    raise\nelse:\n    pass\nfinally:\n    x = 2",
        "with open_it() as f:\n    pass\ndef open_it():\n    yield 1\n    return",
        "class A(object):\n    @property\n    def f(self):\n        return [x for x in b'x' if x] or 1 and 0x1f or 0o17",
        "'{0} {name}'.format(1, name=2)",
        "from .serving import failure, serve",
        "from __future__ import print_function\nimport sys\nsys.stdout.write('%s' % (sys.version_info[:2],))",
    ],
)
def test_old_syntax_is_let_through(text: str) -> None:
    assert newer_syntax(text) == []
