"""The AWS calls that a function's code can make, found in its sources without running them.

A name-based call graph: from the handler and all that its modules run when they are imported, every function or method
whose name is mentioned is reached. A call counts when its name is an operation of boto3 and it has keyword arguments
only, as boto3 demands. So does the name of an operation as a text: `getattr(client, "put_item")`. The result may hold
a call that never happens, but misses none that is written in one of these two forms.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

import botocore.session
from botocore import xform_name

from scripts.generators.settings_classes import LAMBDAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Service as in IAM's actions, and operation as in AWS's API.
Call = tuple[str, str]

# Of DescribeExecution with input and output, for which the caller needs the key of the state machine. With
# includedData = METADATA_ONLY it does not:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
READS_EXECUTION: Call = ("states", "DescribeExecution with its data")
# The name in IAM of each service of boto3 that the functions use.
SERVICES = {
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "dynamodbstreams": "dynamodb",
    "lambda": "lambda",
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "sqs": "sqs",
    "ssm": "ssm",
    "stepfunctions": "states",
}
# Of Powertools, by the class that makes the call.
PROVIDERS = {"SSMProvider": ("ssm", "GetParameter"), "SecretsProvider": ("secretsmanager", "GetSecretValue")}
# Methods that Python calls.
IMPLICIT = {"__init__", "__post_init__", "__enter__", "__exit__", "__iter__", "__next__", "__call__"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def calls_of(handler: str) -> frozenset[Call]:
    """What the function with this Lambda handler, such as `api.handler.handler`, can call."""
    module, _, entry = handler.rpartition(".")
    trees = [_modules()[name] for name in sorted(_imports(module))]
    functions: dict[str, list[Function]] = {}
    for function in (node for tree in trees for node in ast.walk(tree) if isinstance(node, Function)):
        functions.setdefault(function.name, []).append(function)
    reached: list[ast.AST] = [node for tree in trees for node in _at_import(tree)]
    names, pending = set[str](), {entry, *IMPLICIT}
    pending |= _mentioned(reached)
    while pending:
        names |= pending
        bodies = [node for name in pending for function in functions.get(name, []) for node in ast.walk(function)]
        reached += bodies
        pending = _mentioned(bodies) - names
    return frozenset(call for node in reached for call in _calls(node))


@cache
def _modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(LAMBDAS).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in sorted(LAMBDAS.rglob("*.py"))
    }


@cache
def _operations() -> dict[str, Call]:
    """Every operation by the name of its method."""
    session = botocore.session.get_session()
    return {
        xform_name(operation): (prefix, operation)
        for service, prefix in SERVICES.items()
        for operation in session.get_service_model(service).operation_names
    }


def _imports(module: str) -> set[str]:
    """The module and all that it imports, directly or not."""
    found, pending = set[str](), {module}
    while pending:
        found |= pending
        named = {name for one in pending for node in ast.walk(_modules()[one]) for name in _imported(node)}
        pending = {name for name in named if name in _modules()} - found
    return found


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: everything but the bodies of its functions, and the imports themselves."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (Function, ast.Import, ast.ImportFrom)):
            yield child
            yield from _at_import(child)


def _mentioned(nodes: Iterable[ast.AST]) -> set[str]:
    found = set[str]()
    for node in nodes:
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def _calls(node: ast.AST) -> Iterator[Call]:
    # A word such as "query" may mean something else, unless a method named _ask is called with it.
    if isinstance(node, ast.Constant) and "_" in str(node.value) and node.value in _operations():
        yield _operations()[node.value]
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in PROVIDERS:
        yield PROVIDERS[name]
    elif name == "_ask":
        yield from (_operations()[word.value] for word in node.args[:1] if getattr(word, "value", "") in _operations())
    elif name in _operations() and not node.args and isinstance(node.func, ast.Attribute):
        yield _operations()[name]
        if name == "describe_execution" and not any(given.arg == "includedData" for given in node.keywords):
            yield READS_EXECUTION
