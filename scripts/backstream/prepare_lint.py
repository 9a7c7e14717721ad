"""Checks the file of a mapping's `prepare` function: a pure function of one item.

The same image must give the same row in the consumer, in a replay and in a test. So the file reads no clock, no random
numbers and nothing outside its item, and keeps no state. This finds mistakes; it is no sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

FUNCTION = "prepare"

MODULES = frozenset(
    {
        "__future__",
        "base64",
        "binascii",
        "calendar",
        "collections",
        "collections.abc",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "hashlib",
        "html",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "textwrap",
        "typing",
        "unicodedata",
        "urllib.parse",
        "uuid",
    }
)

_OUTSIDE = "prepare must not read or write anything outside its item"
_CODE = "prepare must not run code that the build cannot see"
_STATE = "prepare must not keep state between items"
_CLOCK = "prepare must not depend on when it runs"
_RANDOM = "prepare must return the same result for the same item"
_PROCESS = "it differs between processes; use hashlib"

_NAMES = {
    "__builtins__": _CODE,
    "__import__": _CODE,
    "breakpoint": _OUTSIDE,
    "compile": _CODE,
    "delattr": _STATE,
    "eval": _CODE,
    "exec": _CODE,
    "getattr": _CODE,
    "globals": _STATE,
    "input": _OUTSIDE,
    "locals": _CODE,
    "open": _OUTSIDE,
    "print": _OUTSIDE,
    "setattr": _STATE,
    "vars": _STATE,
}
# A variable may have such a name.
_CALLS = {"hash": _PROCESS, "id": _PROCESS}
_ATTRIBUTES = {
    "DefaultContext": _STATE,
    "getcontext": _STATE,  # a changed context would also change how Backstream reads numbers
    "now": _CLOCK,
    "setcontext": _STATE,
    "today": _CLOCK,
    "utcnow": _CLOCK,
    "uuid1": _RANDOM,
    "uuid4": _RANDOM,
}
_MUTATORS = frozenset(
    {
        "add",
        "append",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    }
)
_CONTAINERS = frozenset({"bytearray", "Counter", "defaultdict", "deque", "dict", "list", "OrderedDict", "set"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    line: int
    problem: str


def problems(source: str, name: str) -> list[str]:
    """Everything that is wrong with the file `name`, by line; empty when nothing is."""
    try:
        tree = ast.parse(source, name)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        return [f"{name}, line {line}: does not parse: {getattr(error, 'msg', error)}"]
    found = {*_definition(tree), *_imports(tree), *_names(tree), *_state(tree)}
    return [f"{name}, line {finding.line}: {finding.problem}" for finding in sorted(found)]


def _definition(tree: ast.Module) -> Iterator[Finding]:
    defined = [node for node in tree.body if isinstance(node, _Function) and getattr(node, "name", "") == FUNCTION]
    if not defined:
        yield Finding(1, f"defines no function {FUNCTION}: write def {FUNCTION}(item)")
    for again in defined[1:]:
        yield Finding(again.lineno, f"{FUNCTION} is defined twice")
    for function in defined[:1]:
        given = function.args
        count = len(given.posonlyargs) + len(given.args)
        if count != 1 or given.vararg or given.kwarg or given.kwonlyargs or given.defaults:
            yield Finding(function.lineno, f"{FUNCTION} takes one parameter, the item: write def {FUNCTION}(item)")
        if isinstance(function, ast.AsyncFunctionDef) or _yields(function):
            yield Finding(function.lineno, f"{FUNCTION} is a plain function: it returns the image or None")


def _yields(function: ast.AST) -> bool:
    """Of the function itself: functions inside it may be generators."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, _Function) and _yields(node):
            return True
    return False


def _imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node)


def _imported_from(node: ast.ImportFrom) -> Iterator[Finding]:
    if node.level:
        yield Finding(node.lineno, "a relative import is not allowed: keep everything in this file")
        return
    yield from _module(node.module or "", node.lineno)
    for alias in node.names:
        if alias.name == "*":
            yield Finding(node.lineno, "import * is not allowed: name what is imported")
        elif alias.name in _ATTRIBUTES:
            yield Finding(node.lineno, f"{alias.name} is not allowed: {_ATTRIBUTES[alias.name]}")


def _module(name: str, line: int) -> Iterator[Finding]:
    if name not in MODULES:
        allowed = ", ".join(sorted(MODULES - {"__future__"}))
        yield Finding(line, f"import of {name} is not allowed: only {allowed} are")


def _names(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _NAMES:
            yield Finding(node.lineno, f"{node.id} is not allowed: {_NAMES[node.id]}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield Finding(node.lineno, f"{node.func.id} is not allowed: {_CALLS[node.func.id]}")
        elif isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES:
            yield Finding(node.lineno, f"{node.attr} is not allowed: {_ATTRIBUTES[node.attr]}")
        elif isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            yield Finding(node.lineno, f"{node.attr} is not allowed: {_CODE}")


def _state(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            keyword = "global" if isinstance(node, ast.Global) else "nonlocal"
            yield Finding(node.lineno, f"{keyword} is not allowed: {_STATE}")
        elif isinstance(node, _Function):
            defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
            for default in defaults:
                if _is_container(default):
                    yield Finding(default.lineno, f"a default value that can change is not allowed: {_STATE}")
    shared = set(_containers(tree))
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _changes_of(shared - set(_local(statement)), statement)


def _containers(tree: ast.Module) -> Iterator[str]:
    """The names at the top of the file that hold a list, a dict or a set."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _is_container(statement.value):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", getattr(value.func, "attr", "")) in _CONTAINERS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _local(function: ast.AST) -> Iterator[str]:
    """The function's parameters and the names that it assigns."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _changes_of(shared: set[str], function: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(function):
        changed: ast.expr | None = None
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
            changed = _object_of(node.func)
        while isinstance(changed, ast.Subscript | ast.Attribute | ast.Call):
            changed = _object_of(changed)
        if isinstance(changed, ast.Name) and changed.id in shared:
            yield Finding(changed.lineno, f"{changed.id} belongs to the file and must not be changed: {_STATE}")


def _object_of(node: ast.Subscript | ast.Attribute | ast.Call) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node.value
