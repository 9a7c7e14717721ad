"""A second pipeline beside the orders of a stack: another DynamoDB table with several kinds of item, one database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.local_stack.deployed import Row
from scripts.local_stack.prerequisites import ensure_prerequisites
from scripts.local_stack.settings import REGION, REPOSITORY
from scripts.local_stack.terraform import Terraform
from tests.e2e.deployed import Deployed

MAPPINGS = REPOSITORY / "mappings"
EXAMPLE = MAPPINGS / "examples" / "shop.json"
# Children first: the order in which they can be dropped.
TABLES = ("order_lines", "orders", "customers")
# Longer than a test: its shard holds, and no batch goes to the failure destination.
RECORD_AGE = 3600


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
    """The single-table example of the documentation. `deploy` creates everything, `remove` leaves nothing behind."""

    def __init__(self, stack: Deployed, home: Path) -> None:
        self._stack, self._home = stack, home
        self._terraform = PipelineRoot(home, stack.stack.settings.cache, stack.outputs["endpoint_url"])

    def deploy(self) -> None:
        self._terraform.write(self._variables())
        self._terraform.init()
        self._terraform.apply({})
        self.outputs = self._terraform.outputs()["shop"]
        self._add_foreign_keys()

    def remove(self) -> None:
        if self._terraform.has_state:
            self._empty_bucket()
            self._terraform.destroy()
        with self._stack.mysql() as connection, connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DROP TABLE IF EXISTS {table}")
            cursor.execute("DELETE FROM replication_versions WHERE item_key LIKE 'shop.% %'")
            cursor.execute("DELETE FROM replication_sources WHERE mapping = 'shop'")
            cursor.execute("DELETE FROM replication_entities WHERE entity LIKE 'shop.%'")

    def _empty_bucket(self) -> None:
        """MiniStack ignores the encoding of names that Terraform asks for, so Terraform cannot delete one with a %."""
        s3, bucket = self._stack.client("s3"), self._terraform.outputs().get("shop", {}).get("failures_bucket")
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket) if bucket else ()
        for page in pages:
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])

    def put(self, *items: dict[str, Any]) -> None:
        """In this order, each when the one before is stored."""
        for item in items:
            self._dynamodb.put_item(TableName=self.outputs["table_name"], Item=item)

    def delete(self, *items: dict[str, Any]) -> None:
        for item in items:
            self._dynamodb.delete_item(
                TableName=self.outputs["table_name"], Key={name: item[name] for name in ("pk", "sk")}
            )

    def rows(self, table: str) -> list[Row]:
        """Times as text."""
        found = self._stack.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
        return [{name: str(v) if isinstance(v, datetime) else v for name, v in row.items()} for row in found]

    def consumer_failed_since(self, started: float) -> bool:
        events = self._stack.client("logs").filter_log_events(
            logGroupName=f"/aws/lambda/{self.outputs['consumer_function_name']}", startTime=int(started * 1000)
        )["events"]
        return any("batch not applied" in event["message"] for event in events)

    @property
    def _dynamodb(self) -> Any:
        return self._stack.client("dynamodb")

    def _variables(self) -> dict[str, Any]:
        stack = self._stack.stack
        prerequisites = ensure_prerequisites(stack.emulator.url, stack.emulator.env, stack.access)
        return {
            "env": stack.emulator.env,
            "pipeline": "shop",
            "mapping": "shop",
            "table": {"partition_key": {"name": "pk"}, "sort_key": {"name": "sk"}},
            "lambda_zips": {"folder": str(self._build())},
            "vpc_id": prerequisites.vpc_id,
            "rds_sg_id": prerequisites.security_group_id,
            "rds_secret_arn": prerequisites.secret_arn,
            "rds_connection_param_name": prerequisites.parameter_name,
            "mysql_port": stack.access.port,
            "mysql_tls": stack.access.tls,
            "mysql_ca_pem": stack.access.ca_pem,
            "failure_destination": stack.settings.failure_destination,
            "stream_maximum_record_age_seconds": RECORD_AGE,
            "deletion_protection": False,
            "create_deletion_guard": False,
            "failures_bucket_force_destroy": True,
            "replayed_retention_days": 0,
        }

    def _build(self) -> Path:
        """With the mapping of orders as well, as a company builds once for all its pipelines."""
        mappings, out = self._home / "mappings", self._home / "build"
        mappings.mkdir(parents=True, exist_ok=True)
        for source in (MAPPINGS / "orders.json", EXAMPLE):
            shutil.copy(source, mappings)
        command = [sys.executable, str(REPOSITORY / "scripts" / "build.py"), "--mappings", str(mappings)]
        subprocess.run([*command, "--out", str(out)], check=True)
        return out

    def _add_foreign_keys(self) -> None:
        """To the tables that the schema step has created."""
        with self._stack.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE orders ADD CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers"
                " (customer_id)"
            )
            cursor.execute(
                "ALTER TABLE order_lines ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (order_id)"
            )


def customer(customer_id: str, name: str = "Ada") -> dict[str, Any]:
    return {
        "pk": {"S": f"CUSTOMER#{customer_id}"},
        "sk": {"S": "PROFILE"},
        "name": {"S": name},
        "contact": {"M": {"e.mail": {"S": "ada@example.com"}}},
        "addresses": {"L": [{"M": {"city": {"S": "Köln"}}}]},
        "registered_at": {"S": "2026-01-31T10:11:12.5Z"},
        "loyalty": {"N": "7"},
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


def order_line(order_id: str, line_no: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"ORDER#{order_id}"},
        "sk": {"S": f"LINE#{line_no}"},
        "sku": {"S": "tea"},
        "quantity": {"N": "2"},
        "price": {"N": "6.25"},
    }
