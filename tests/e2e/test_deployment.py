"""A deployment does not change by itself, and a failed one leaves the live code in place."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack.process import poll
from scripts.local_stack.settings import StackSettings
from scripts.local_stack.stack import STAYS, Stack
from scripts.local_stack.terminal import StackError
from tests.e2e.deployed import ARRIVAL, Deployed

MAPPING = "mappings/orders.json"


def with_another_column(build: Path, folder: Path) -> Path:
    """A build of the next code, whose mapping has a column that the table lacks."""
    manifest = json.loads((build / "manifest.json").read_text())
    for name in manifest["zips"]:
        with zipfile.ZipFile(build / name) as old, zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.infolist():
                content = old.read(member)
                if member.filename == MAPPING and name != "api.zip":
                    mapping = json.loads(content)
                    note = {"column": "note", "from": ["note"], "type": "string", "length": 64}
                    mapping["entities"]["order"]["columns"].append(note)
                    content = json.dumps(mapping).encode()
                new.writestr(member, content)
        manifest["zips"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class StackWithNextCode(Stack):
    """The same stack, with a build of the next code."""

    def __init__(self, settings: StackSettings, folder: Path) -> None:
        super().__init__(settings)
        self._folder = folder

    def _variables(self, *arguments: Any) -> dict[str, Any]:
        build = with_another_column(self.settings.build_folder, self._folder)
        return {**super()._variables(*arguments), "build_dir": str(build)}


def functions(stack: Deployed) -> list[str]:
    return [stack.outputs[f"{function}_function_name"] for function in ("consumer", "replayer", "reconciler")]


def live_version(stack: Deployed, function: str) -> str:
    return stack.client("lambda").get_alias(FunctionName=function, Name="live")["FunctionVersion"]


def code(stack: Deployed, function: str, version: str) -> str:
    return stack.client("lambda").get_function_configuration(FunctionName=function, Qualifier=version)["CodeSha256"]


def live(stack: Deployed) -> dict[str, str]:
    """By function, the code that its alias points to. LocalStack returns it for a version only."""
    return {function: code(stack, function, live_version(stack, function)) for function in functions(stack)}


def deployed(stack: Deployed) -> dict[str, str]:
    """By function, the code that was deployed last, live or not."""
    return {function: code(stack, function, "$LATEST") for function in functions(stack)}


def called_by_the_mapping(stack: Deployed) -> str:
    uuid = stack.outputs["event_source_mapping_uuid"]
    return stack.client("lambda").get_event_source_mapping(UUID=uuid)["FunctionArn"].split(":function:")[1]


def test_a_second_plan_changes_nothing(stack: Deployed):
    assert stack.planned_changes() == set()


def test_a_parameter_holds_the_outputs(stack: Deployed):
    """The local stack adds its endpoint, and the URL at which the emulator serves the API. Warnings are not held."""
    local = {name: stack.outputs[name] for name in ("api_url", "endpoint_url", "schema_step_warnings")}
    held = stack.client("ssm").get_parameter(Name=stack.outputs["outputs_param_name"])["Parameter"]
    assert json.loads(held["Value"]) | local == stack.outputs


def test_code_whose_schema_step_fails_does_not_go_live(stack: Deployed, tmp_path: Path):
    """The alias does not move and the mapping continues with the old code, until an apply succeeds.

    The reconciler knows the mapping, so its code is deployed later. `make up` keeps the deployment and its orders.
    """
    before, orders = live(stack), stack.table_orders()
    with pytest.raises(StackError, match=r"does not fit the mapping: column note is missing") as refused:
        StackWithNextCode(stack.stack.settings, tmp_path).up()
    try:
        assert refused.value.reason.endswith(STAYS)
        assert live(stack) == before
        assert stack.table_orders() == orders
        waiting = {function for function, digest in deployed(stack).items() if digest != before[function]}
        assert waiting == {stack.outputs[f"{function}_function_name"] for function in ("consumer", "replayer")}
        assert called_by_the_mapping(stack) == f"{stack.outputs['consumer_function_name']}:live"
        order = stack.create()
        assert poll(lambda: stack.mysql_order(order), ARRIVAL, interval=0.2)
    finally:
        stack.stack.redeploy()
    assert live(stack) == deployed(stack) == before


def test_a_change_that_fits_goes_live(stack: Deployed):
    consumer = stack.outputs["consumer_function_name"]
    before = int(live_version(stack, consumer))
    stack.stack.redeploy(apply_every_change=True)
    try:
        assert int(live_version(stack, consumer)) == before + 1
    finally:
        stack.stack.redeploy()
    assert int(live_version(stack, consumer)) == before + 2


def test_a_protected_deployment_is_not_destroyed(stack: Deployed):
    """It is refused before anything is deleted."""
    if stack.is_localstack:
        pytest.skip("LocalStack's DynamoDB has no deletion protection")
    stack.stack.redeploy(deletion_protection=True)
    before = stack.stack.resources()
    try:
        with pytest.raises(StackError, match=r"deletion-guard"):
            stack.stack.destroy()
        assert stack.stack.resources() == before
        assert stack.planned_changes() == set(), "nothing was changed"
    finally:
        stack.stack.redeploy()


def test_the_schema_step_finds_that_the_tables_fit(stack: Deployed):
    answer = stack.client("lambda").invoke(FunctionName=stack.outputs["schema_function_name"], Payload=b"{}")
    assert json.load(answer["Payload"]) == {"target": "fits", "sidecar": "fits", "source": "known", "warnings": []}


def test_the_functions_account_has_only_the_rights_it_needs(stack: Deployed):
    access = stack.stack.access
    with access.connect(stack.application_account()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [row[0] for row in cursor.fetchall()]
    assert len(grants) == 2
    assert grants[0].startswith("GRANT USAGE ON *.*")
    assert grants[1].startswith(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `{access.database}`.*")
