# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python 2.6 and 3 share, for the programs that run on the machines under test (agent_process.py)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

# What a program may use of its modules: names that Python 2.6's documentation has and that Python 3 still has.
MODULES = {
    "errno": {"EADDRINUSE", "EADDRNOTAVAIL", "EBUSY", "EFAULT", "EIO", "ENOENT", "ENOSPC", "ESRCH"},
    "fcntl": {"ioctl"},
    "hashlib": {"sha1"},
    "json": {"dumps", "loads"},
    "os": {
        "O_CREAT", "O_EXCL", "O_RDONLY", "O_RDWR", "O_TRUNC", "P_WAIT", "SEEK_SET", "chmod", "close", "ftruncate", "getpid",
        "kill", "listdir", "lseek", "lstat", "makedev", "makedirs", "mkdir", "mknod", "open", "path", "read", "rename", "rmdir",
        "spawnvp", "symlink", "unlink", "walk", "write",
    },
    "re": {"compile", "escape"},
    "shutil": {"copy2", "copystat", "rmtree"},
    "signal": {"alarm", "signal", "SIGALRM", "SIGCONT", "SIGKILL", "SIGSTOP", "SIG_DFL", "SIG_IGN"},
    "socket": {
        "AF_INET", "AF_INET6", "IPPROTO_IPV6", "IPV6_V6ONLY", "SOCK_STREAM", "error", "socket",
    },
    "stat": {"S_IFBLK", "S_ISREG"},
    "struct": {"pack", "unpack"},
    "sys": {"argv", "exc_info", "executable", "exit", "modules", "stderr", "stdin", "stdout", "version", "version_info"},
    "threading": {"Lock", "Thread"},
    "time": {"sleep", "strftime", "time"},
    "types": {"ModuleType"},
}
ATTRIBUTES: dict[str, set[str]] = {
    "os.path": {"basename", "isdir", "join", "lexists", "realpath"},
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
    "max", "min", "next", "object", "ord", "pow", "property", "range", "repr", "reversed", "set", "setattr", "slice", "sorted",
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
        # Programs import each other's common parts, which are sent with them (agent_process.PARTS).
        if node.level != 1 and (node.module != "__future__" or newer):
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
    if node.value is Ellipsis:
        yield "ellipsis"
    if isinstance(node.value, (bool, type(None))):
        return
    # A number is on one line, a prefix on the first; to find those is a tenth of the work of ast.get_source_segment.
    end = node.end_col_offset if node.end_lineno == node.lineno else None
    text = source.split("\n")[node.lineno - 1].encode()[node.col_offset:end].decode()
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
    if whole in ATTRIBUTES and node.attr not in ATTRIBUTES[whole]:
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
