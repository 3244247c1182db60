# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's syntax is what Python 2.6 and 3 share. What it answers, also on a real Python 2, is in test_agent_protocol.py."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from migration_lab import agent
from migration_lab.agent_process import BOOTSTRAP

SOURCE = Path(agent.__file__).read_text(encoding="utf-8")

# What the agent may use of its modules: names that Python 2.6's documentation has and that Python 3 still has.
MODULES = {
    "json": {"dumps", "loads"},
    "signal": {"alarm", "signal", "SIGALRM", "SIG_DFL", "SIG_IGN"},
    "sys": {"argv", "exc_info", "executable", "exit", "stderr", "stdin", "stdout", "version", "version_info"},
    "time": {"sleep", "strftime", "time"},
}
SYS_ATTRIBUTES: dict[str, set[str]] = {
    "sys.stdin": {"read", "readline"}, "sys.stdout": {"flush", "write"}, "sys.stderr": {"flush", "write"},
    "sys.version_info": set(),
}

# Names that are built in in both.
BUILTINS = {
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "EOFError", "EnvironmentError", "Exception", "False",
    "IOError", "ImportError", "IndexError", "KeyError", "KeyboardInterrupt", "LookupError", "MemoryError", "NameError", "None",
    "NotImplementedError", "OSError", "OverflowError", "RuntimeError", "StopIteration", "SyntaxError", "SystemExit", "True",
    "TypeError", "UnicodeError", "ValueError", "ZeroDivisionError", "__file__", "__name__", "abs", "all", "any", "bool",
    "bytearray", "chr", "classmethod", "compile", "delattr", "dict", "dir", "divmod", "enumerate", "filter", "float",
    "frozenset", "getattr", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass", "iter", "len", "list", "map",
    "max", "min", "next", "object", "ord", "pow", "property", "range", "repr", "reversed", "setattr", "slice", "sorted",
    "staticmethod", "str", "sum", "super", "tuple", "type", "zip",
}

NEWER_NODES = {
    "AnnAssign": "annotation", "AsyncFor": "async", "AsyncFunctionDef": "async", "AsyncWith": "async", "Await": "await",
    "DictComp": "dict comprehension", "FormattedValue": "f-string", "Interpolation": "t-string", "JoinedStr": "f-string",
    "MatMult": "matrix multiplication", "Match": "match", "NamedExpr": "walrus", "Nonlocal": "nonlocal",
    "Set": "set literal", "SetComp": "set comprehension", "TemplateStr": "t-string", "TryStar": "except*",
    "TypeAlias": "type alias", "YieldFrom": "yield from",
}


def newer_syntax(source: str) -> list[str]:
    """What in a program Python 2.6 does not have, or has otherwise than Python 3; empty when there is nothing."""
    tree = ast.parse(source)
    unpacked = {id(argument) for node in ast.walk(tree) if isinstance(node, ast.Call) for argument in node.args}
    found = [problem for node in ast.walk(tree) for problem in _newer_in(node, source, unpacked)]
    found += [f"name {name}" for name in sorted(_used_names(tree) - _bound_names(tree) - BUILTINS)]
    return found


def _newer_in(node: ast.AST, source: str, unpacked: set[int]) -> Iterator[str]:
    name = type(node).__name__
    if name in NEWER_NODES:
        yield NEWER_NODES[name]
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        yield from _newer_in_signature(node, source)
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        if getattr(node, "type_params", None):
            yield "type parameters"
        if any(not isinstance(each, (ast.Name, ast.Attribute, ast.Call)) for each in node.decorator_list):
            yield "decorator that is an expression"
    if isinstance(node, ast.ClassDef) and node.keywords:
        yield "class keyword"
    if isinstance(node, ast.Raise) and node.cause:
        yield "raise ... from"
    if isinstance(node, ast.With) and len(node.items) > 1:
        yield "with of several"
    if isinstance(node, ast.Starred) and id(node) not in unpacked:
        yield "unpacking outside a call"
    if isinstance(node, ast.Dict) and None in node.keys:
        yield "unpacking outside a call"
    if isinstance(node, ast.Constant):
        yield from _newer_in_constant(node, source)
    if isinstance(node, ast.Call):
        yield from _newer_in_call(node, source)
    if isinstance(node, ast.ImportFrom):
        newer = {alias.name for alias in node.names} - {"absolute_import", "division", "print_function", "with_statement"}
        if node.module != "__future__" or newer:
            yield f"import from {node.module}"
    if isinstance(node, ast.Import):
        yield from (f"import {alias.name}" for alias in node.names if alias.name not in {*MODULES, "libvirt"})
    if isinstance(node, ast.Attribute):
        yield from _newer_in_attribute(node)


def _newer_in_signature(node: ast.FunctionDef | ast.Lambda, source: str) -> Iterator[str]:
    arguments = node.args
    if arguments.kwonlyargs:
        yield "keyword-only argument"
    if arguments.posonlyargs:
        yield "positional-only argument"
    stars = [each for each in (arguments.vararg, arguments.kwarg) if each]
    if any(each.annotation for each in [*arguments.args, *stars]) or getattr(node, "returns", None):
        yield "annotation"
    if stars and re.match(r"\s*,\s*\)", source.splitlines()[stars[-1].lineno - 1][(stars[-1].end_col_offset or 0):]):
        yield "comma after a star argument"
    inner = [each for each in ast.walk(node) if isinstance(each, (ast.Yield, ast.Return))]
    if any(isinstance(each, ast.Yield) for each in inner) and any(isinstance(each, ast.Return) and each.value for each in inner):
        yield "return with a value in a generator"


def _newer_in_constant(node: ast.Constant, source: str) -> Iterator[str]:
    text = ast.get_source_segment(source, node) or ""
    if node.value is Ellipsis:
        yield "ellipsis"
    if isinstance(node.value, (int, float, complex)) and "_" in text:
        yield "underscore in a number"
    if isinstance(node.value, (str, bytes)) and re.match(r"(?i)rb|u", text):
        yield "prefix of a literal"


def _newer_in_call(node: ast.Call, source: str) -> Iterator[str]:
    at = {id(each): (each.lineno, each.col_offset) for each in [*node.args, *(keyword.value for keyword in node.keywords)]}
    stars = [each for each in node.args if isinstance(each, ast.Starred)]
    doubles = [keyword.value for keyword in node.keywords if keyword.arg is None]
    plain = [each for each in node.args if each not in stars]
    named = [keyword.value for keyword in node.keywords if keyword.arg is not None]
    if len(stars) > 1 or len(doubles) > 1:
        yield "several unpackings in a call"
    if stars and any(at[id(each)] > at[id(stars[0])] for each in plain):
        yield "argument after an unpacking"
    if stars and any(at[id(each)] < at[id(stars[0])] for each in named):
        yield "unpacking after a keyword argument"
    if doubles and any(at[id(each)] > at[id(doubles[0])] for each in [*node.args, *named]):
        yield "argument after an unpacking"
    if (stars or doubles) and re.search(r",\s*\)$", ast.get_source_segment(source, node) or ""):
        yield "comma after an unpacking"
    if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
        yield "super without arguments"
    if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        text = node.func.value
        if not isinstance(text, ast.Constant) or re.search(r"\{[:!}]", str(text.value)):
            yield "format with automatic numbers"


def _newer_in_attribute(node: ast.Attribute) -> Iterator[str]:
    owner = node.value
    if isinstance(owner, ast.Name) and owner.id in MODULES and node.attr not in MODULES[owner.id]:
        yield f"{owner.id}.{node.attr}"
    whole = ast.unparse(owner) if isinstance(owner, ast.Attribute) else ""
    if whole in SYS_ATTRIBUTES and node.attr not in SYS_ATTRIBUTES[whole]:
        yield f"{whole}.{node.attr}"


def _used_names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _bound_names(tree: ast.AST) -> set[str]:
    """Names that the program itself gives a meaning, anywhere."""
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        if isinstance(node, ast.arg):
            bound.add(node.arg)
        if isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        if isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return bound


def test_agent_is_ascii() -> None:
    assert SOURCE.isascii(), "it goes over standard input, counted in characters, and Python 2 wants no more"


def test_agent_has_no_syntax_or_library_that_python_2_6_lacks() -> None:
    assert newer_syntax(SOURCE) == []


def test_bootstrap_has_none_either() -> None:
    # exec of a tuple is Python 2's statement and Python 3's function alike.
    assert newer_syntax(BOOTSTRAP) == ["name exec"]
    assert re.search(r"exec\(compile\(.*\), \{.*\}\)$", BOOTSTRAP)


@pytest.mark.parametrize(
    ("source", "problem"),
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
        ("import subprocess", "import subprocess"),
        ("import os.path", "import os.path"),
        ("import time\ntime.monotonic()", "time.monotonic"),
        ("import sys\nsys.stdout.buffer.write('x')", "sys.stdout.buffer"),
        ("import sys\nsys.version_info.major", "sys.version_info.major"),
        ("import sys\nsys.maxint", "sys.maxint"),
        ("import signal\nsignal.pthread_kill(1, 1)", "signal.pthread_kill"),
        ("import json\njson.JSONDecodeError", "json.JSONDecodeError"),
        ("memoryview", "name memoryview"),
        ("FileNotFoundError", "name FileNotFoundError"),
        ("unicode", "name unicode"),
        ("exec('x')", "name exec"),
    ],
)
def test_newer_syntax_is_found(source: str, problem: str) -> None:
    if sys.version_info < (3, 11) and problem == "except*":
        pytest.skip("this Python has no except*")
    assert problem in newer_syntax(source)


@pytest.mark.parametrize(
    "source",
    [
        "def f(a, b=1, *c, **d):\n    return max(a, *c)\nf(1, *[2], b=3, **{})",
        "try:\n    x = 1\nexcept (ValueError, KeyError) as error:\n    raise\nelse:\n    pass\nfinally:\n    x = 2",
        "with open_it() as f:\n    pass\ndef open_it():\n    yield 1\n    return",
        "class A(object):\n    @property\n    def f(self):\n        return [x for x in b'x' if x] or 1 and 0x1f or 0o17",
        "'{0} {name}'.format(1, name=2)",
        "from __future__ import print_function\nimport sys\nsys.stdout.write('%s' % (sys.version_info[:2],))",
    ],
)
def test_old_syntax_is_let_through(source: str) -> None:
    assert newer_syntax(source) == []
