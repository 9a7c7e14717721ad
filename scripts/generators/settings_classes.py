"""The settings classes of the functions, read from the sources of `lambdas/` without importing them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

LAMBDAS = Path(__file__).parents[2] / "lambdas"


class Setting(NamedTuple):
    """One `config.env()` field. `parser` and `default` are expressions; None is the default parser, or required."""

    name: str
    parser: ast.expr | None
    default: ast.expr | None


def settings_of(handler: str) -> dict[str, Setting]:
    """What the function with this Lambda handler reads, such as `api.handler.handler`, by variable.

    Looks for `load(<class>)` in the module of the handler and in what it imports from its own package.
    """
    return {
        setting.name: setting
        for module in sorted(_own_modules(handler.rpartition(".")[0]))
        for name in sorted(_loaded(module))
        for setting in _fields(name, module)
    }


def literal(node: ast.expr) -> Any:
    """The value of a literal, or of a constant that some module assigns a literal to."""
    if not isinstance(node, ast.Name):
        return ast.literal_eval(node)
    (value,) = (
        ast.literal_eval(statement.value)
        for module in _modules().values()
        for statement in module.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == node.id
    )
    return value


@cache
def _modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(LAMBDAS).with_suffix("").parts): ast.parse(path.read_text())
        for path in sorted(LAMBDAS.rglob("*.py"))
    }


@cache
def _classes() -> dict[str, dict[str, ast.ClassDef]]:
    """Every class by name, and by the module that it is in."""
    found: dict[str, dict[str, ast.ClassDef]] = {}
    for name, module in _modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, {})[name] = node
    return found


def _settings(node: ast.ClassDef) -> list[Setting]:
    calls = [field.value for field in node.body if isinstance(field, ast.AnnAssign)]
    return [_setting(call) for call in calls if isinstance(call, ast.Call) and _called(call) == "env"]


def _setting(call: ast.Call) -> Setting:
    name, *parser = call.args
    default = {keyword.arg: keyword.value for keyword in call.keywords}.get("default")
    return Setting(ast.literal_eval(name), parser[0] if parser else None, default)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _fields(name: str, module: str) -> list[Setting]:
    """The fields of a class and of its bases; a name that the module does not define is the only class of that name."""
    named = _classes().get(name, {})
    if not named:
        return []
    home = module if module in named else next(iter(named))
    bases = [base.id for base in named[home].bases if isinstance(base, ast.Name)]
    return [setting for base in bases for setting in _fields(base, home)] + _settings(named[home])


def _loaded(module: str) -> set[str]:
    """The names in the first argument of every call of `load`, both branches of a condition included."""
    return {
        name.id
        for call in ast.walk(_modules()[module])
        if isinstance(call, ast.Call) and _called(call) == "load" and call.args
        for name in ast.walk(call.args[0])
        if isinstance(name, ast.Name)
    }


def _own_modules(module: str) -> set[str]:
    """The module and all that it imports, directly or not, from its own package."""
    package, found, pending = module.partition(".")[0], set[str](), {module}
    while pending:
        found.add(current := pending.pop())
        imported = {name for node in ast.walk(_modules()[current]) for name in _imported(node)}
        pending |= {name for name in imported if name in _modules() and name.startswith(f"{package}.")} - found
    return found


def _imported(node: ast.AST) -> set[str]:
    """Modules that an import names; `from package import name` may name a module or a member of one."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()
