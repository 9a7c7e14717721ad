"""A second pipeline beside the orders of a stack: another DynamoDB table with several kinds of item, one database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.local_stack.deployed import Row
from scripts.local_stack.prerequisites import ensure_prerequisites
from scripts.local_stack.settings import REGION, REPOSITORY
from scripts.local_stack.stack import RECORD_AGE, RETRIES, SETTLE
from scripts.local_stack.terraform import Terraform
from tests.e2e.deployed import Deployed
from tests.support.server_texts import keep_texts

MAPPINGS = REPOSITORY / "mappings"
EXAMPLE = MAPPINGS / "examples" / "shop.json"


class PipelineRoot(Terraform):
    """A configuration that calls the module `pipeline` alone."""

    def write(self, variables: dict[str, Any]) -> None:
        self.copy_sources()
        for file in self.folder.glob("*.tf"):
            if file.name not in ("versions.tf", "backend_override.tf", "provider_override.tf"):
                file.unlink()
        of_provider = {"aws_region": REGION, "name": "backstream", "env": variables["env"], "tags": {}}
        root = {
            "variable": {name: {"default": value} for name, value in of_provider.items()},
            "module": {"shop": {"source": "./modules/pipeline", **variables}},
            "output": {"shop": {"value": "${module.shop}"}},
        }
        (self.folder / "main.tf.json").write_text(json.dumps(root, indent=2))


class SecondPipeline:
    """The single-table example of the documentation. `zips` is the folder of the build that was deployed first."""

    def __init__(self, stack: Deployed, home: Path) -> None:
        self._stack, self._home, self.outputs_file = stack, home, home / "outputs.json"
        self._terraform = PipelineRoot(home, stack.stack.settings.cache, stack.outputs["endpoint_url"])

    def deploy(self) -> None:
        self.zips = self.build("build", EXAMPLE.read_text())
        self._terraform.write(self._variables(self.zips))
        self._terraform.init()
        self._terraform.apply({})
        self.outputs = self._terraform.outputs()["shop"] | {"endpoint_url": self._stack.outputs["endpoint_url"]}
        self._order = self._stack.stream_order(self.outputs["stream_arn"])
        self.outputs_file.write_text(json.dumps(self.outputs))
        self._add_foreign_keys()

    def deploy_zips(self, zips: Path) -> None:
        """Into the deployed pipeline."""
        self._terraform.write(self._variables(zips))
        self._terraform.apply({})

    def build(self, name: str, mapping: str) -> Path:
        """The folder of the zips. They have the mapping of orders as well: a company builds once for all pipelines."""
        mappings, out = self._home / f"{name}-mappings", self._home / name
        mappings.mkdir(parents=True)
        shutil.copy(MAPPINGS / "orders.json", mappings)
        (mappings / "shop.json").write_text(mapping)
        command = [sys.executable, str(REPOSITORY / "scripts" / "build.py"), "--mappings", str(mappings)]
        subprocess.run([*command, "--out", str(out)], check=True)
        return out

    def remove(self) -> None:
        """From an emulator that goes on running. The database and the stack's own emulator go with the stack."""
        if self._stack.is_localstack and self._terraform.has_state:
            self._terraform.destroy()

    def put(self, *items: dict[str, Any]) -> None:
        """In this order, each when the one before is stored."""
        for item in items:
            self._change("put_item", Item=item)

    def delete(self, *items: dict[str, Any]) -> None:
        for item in items:
            self._change("delete_item", Key={name: item[name] for name in ("pk", "sk")})

    def items(self) -> list[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.outputs["table_name"], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def rows(self, table: str) -> list[Row]:
        """Times as the server prints them."""
        with self._stack.mysql() as connection, connection.cursor() as cursor:
            keep_texts(connection)
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            return list(cursor.fetchall())

    def consumer_failed_since(self, started: float) -> bool:
        events = self._stack.client("logs").filter_log_events(
            logGroupName=f"/aws/lambda/{self.outputs['consumer_function_name']}", startTime=int(started * 1000)
        )["events"]
        return any("batch not applied" in event["message"] for event in events)

    def _change(self, operation: str, **request: Any) -> None:
        def change() -> None:
            getattr(self._dynamodb, operation)(TableName=self.outputs["table_name"], **request)

        if self._order:
            self._order.make(change)
        else:
            change()

    @property
    def _dynamodb(self) -> Any:
        return self._stack.client("dynamodb")

    def _variables(self, zips: Path) -> dict[str, Any]:
        stack = self._stack.stack
        prerequisites = ensure_prerequisites(stack.emulator.url, stack.emulator.env, stack.access)
        return {
            "env": stack.emulator.env,
            "pipeline": "shop",
            "mapping": "shop",
            "table": {"partition_key": {"name": "pk"}, "sort_key": {"name": "sk"}},
            "lambda_zips": {"folder": str(zips)},
            "vpc_id": prerequisites.vpc_id,
            "rds_sg_id": prerequisites.security_group_id,
            "rds_secret_arn": prerequisites.secret_arn,
            "rds_connection_param_name": prerequisites.parameter_name,
            "mysql_port": stack.access.port,
            "mysql_tls": stack.access.tls,
            "mysql_ca_pem": stack.access.ca_pem,
            "failure_destination": stack.settings.failure_destination,
            "stream_maximum_record_age_seconds": RECORD_AGE,
            "stream_maximum_retry_attempts": RETRIES,
            "verify_settle_seconds": SETTLE,
            "create_alarms": False,  # the first pipeline has them, where the emulator keeps them
            "create_dashboard": False,
            "deletion_protection": False,
            "create_deletion_guard": False,
            "failures_bucket_force_destroy": True,
            "replayed_retention_days": 0,
        }

    def _add_foreign_keys(self) -> None:
        """To the tables that the schema step has created."""
        self._stack.execute(
            "ALTER TABLE orders ADD CONSTRAINT of_customer FOREIGN KEY (customer_id)"
            " REFERENCES customers (customer_id)",
            "ALTER TABLE order_lines ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (order_id)",
        )


def customer(customer_id: str, name: str = "Ada", loyalty: int = 7) -> dict[str, Any]:
    return {
        "pk": {"S": f"CUSTOMER#{customer_id}"},
        "sk": {"S": "PROFILE"},
        "name": {"S": name},
        "contact": {"M": {"e.mail": {"S": "ada@example.com"}}},
        "addresses": {"L": [{"M": {"city": {"S": "Köln"}}}]},
        "registered_at": {"S": "2026-01-31T10:11:12.5Z"},
        "loyalty": {"N": str(loyalty)},
    }


def order(order_id: str, customer_id: str, total: str = "12.50") -> dict[str, Any]:
    return {
        "pk": {"S": f"ORDER#{order_id}"},
        "sk": {"S": "ORDER"},
        "customer": {"S": customer_id},
        "total": {"N": total},
        "status": {"S": "PAID"},
        "placed_at": {"N": "1770000000"},
    }


def order_line(order_id: str, line_no: int, price: str = "6.25") -> dict[str, Any]:
    return {
        "pk": {"S": f"ORDER#{order_id}"},
        "sk": {"S": f"LINE#{line_no}"},
        "sku": {"S": "tea"},
        "quantity": {"N": "2"},
        "price": {"N": price},
    }


def note(customer_id: str, note_no: int, body: str) -> dict[str, Any]:
    """Of a kind that the mapping does not know at first."""
    return {"pk": {"S": f"CUSTOMER#{customer_id}"}, "sk": {"S": f"NOTE#{note_no}"}, "body": {"S": body}}
