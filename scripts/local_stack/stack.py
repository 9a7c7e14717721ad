"""The whole stack, from nothing to a first order in MySQL, and down again."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.local_stack.access import Access, Account
from scripts.local_stack.emulator import Emulator
from scripts.local_stack.failure import StackError
from scripts.local_stack.first_order import Row, demand_curl, first_order
from scripts.local_stack.given_server import prepare, reach
from scripts.local_stack.legacy_side import LegacySide, ensure_legacy_side, remove_legacy_side
from scripts.local_stack.lock import only_one
from scripts.local_stack.mariadb import MariaDB
from scripts.local_stack.progress import say, side_by_side, step
from scripts.local_stack.settings import REGION, REPOSITORY, Settings
from scripts.local_stack.terraform import Terraform, demand_terraform

API_ACCOUNT = Account("foo", "bar")
RECORD_AGE = 60  # the least that AWS allows, so that an outage can be seen through in minutes
RETRIES = 5
STAYS = "What was deployed before stays. Mend the cause and run make up again; make down first starts with nothing."


class Stack:
    """Repeating any command is safe, also after one that was killed half-way."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.mariadb = MariaDB(settings.home / "mysql")
        self.emulator = Emulator(settings)

    def up(self) -> Row:
        demand_terraform()
        demand_curl()
        with only_one(self.settings.home):
            self.settings.stack_home.mkdir(parents=True, exist_ok=True)
            interrupted = self._sources.end_interrupted_run()
            side_by_side(self._start_database, self._start_emulator, self._build, self._fetch_providers)
            self._deploy(interrupted=interrupted)
            with step("first order"):
                return first_order(self.outputs()["api_url"], API_ACCOUNT, self.access)

    def down(self) -> None:
        with only_one(self.settings.home):
            self._sources.end_interrupted_run()
            if self.settings.endpoint and self._terraform.has_state:
                with step(f"removing what was deployed to {self.settings.endpoint}"):
                    self._remove_deployment()
            with step("stopping what was started here"):
                self.emulator.stop()
                self.mariadb.stop()

    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs, with addresses that work from here."""
        outputs = self._terraform.outputs() if self.emulator.running else {}
        if not outputs:
            raise StackError("the stack is not up: make up")
        endpoint = self.emulator.url
        return {**outputs, "endpoint_url": endpoint, "api_url": _reachable(outputs["api_url"], endpoint)}

    @property
    def access(self) -> Access:
        return reach(self.settings.server) if self.settings.server else self.mariadb.access

    def db_stop(self) -> None:
        self._demand_own_server()
        with only_one(self.settings.home):
            self.mariadb.stop()

    def db_start(self) -> None:
        self._demand_own_server()
        with only_one(self.settings.home):
            self.mariadb.start(move_port=False)

    def planned_changes(self) -> set[str]:
        """The types of the resources that another apply would change."""
        return self._terraform.planned_changes()

    def redeploy(self, **changed: Any) -> None:
        """Apply again, with other values for some of Terraform's variables; without any, as `up` does."""
        legacy = ensure_legacy_side(self.emulator.url, self.emulator.env, self.access)
        self._terraform.apply({**self._variables(legacy, self.access), **changed})

    def destroy(self) -> None:
        """As `terraform destroy` does, and nothing else."""
        self._terraform.destroy()

    def resources(self) -> set[str]:
        """The addresses of all that is deployed."""
        return self._terraform.resources()

    @property
    def _sources(self) -> Terraform:
        """For what needs no emulator yet."""
        return Terraform(self.settings.stack_home, self.settings.cache, endpoint="")

    @property
    def _terraform(self) -> Terraform:
        return Terraform(self.settings.stack_home, self.settings.cache, self.emulator.url)

    def _start_database(self) -> None:
        if self.settings.server:
            return
        with step("database server"):
            self.mariadb.start()

    def _start_emulator(self) -> None:
        with step("emulated AWS"):
            self.emulator.ensure_running()

    def _build(self) -> None:
        with step("function packages"):
            _run_logged(
                [sys.executable, str(REPOSITORY / "scripts" / "build.py"), "--out", str(self.settings.build_folder)],
                self.settings.stack_home / "build.log",
            )

    def _fetch_providers(self) -> None:
        with step("Terraform's providers"):
            self._sources.copy_sources()
            self._sources.init()

    def _deploy(self, *, interrupted: bool) -> None:
        access = self._prepared_access()
        mark = _fingerprint(access)
        found = self.emulator.mark()
        if found is None:
            self._terraform.forget()
            self._apply(access, mark)
        elif found == mark and not interrupted:
            self._apply_or_start_over(access, mark)
        else:
            self._start_over()
            self._apply(access, mark)

    def _apply_or_start_over(self, access: Access, mark: str) -> None:
        """A first run that was killed leaves things that Terraform has not written down, and cannot make again.

        A deployment that was complete stays as it is: it holds orders, and its old code goes on.
        """
        try:
            self._apply(access, mark)
        except StackError as error:
            if self._terraform.deployed:
                raise StackError(f"{error.reason}\n{STAYS}", error.log) from error
            say(f"         {error.reason}")
            say("         starting over with nothing deployed")
            self._start_over()
            self._apply(access, mark)

    def _start_over(self) -> None:
        if self.settings.endpoint and self._terraform.has_state:
            with suppress(StackError):  # what cannot be removed is left behind under its old name
                self._remove_deployment()
        self.emulator.start_over()
        self._terraform.forget()

    def _remove_deployment(self) -> None:
        self._terraform.destroy()
        remove_legacy_side(self.emulator.url, self.emulator.env)
        self.emulator.remove_mark()
        self._terraform.forget()

    def _apply(self, access: Access, mark: str) -> None:
        self.emulator.leave_mark(mark)
        with step("network, secret and address of the database"):
            legacy = ensure_legacy_side(self.emulator.url, self.emulator.env, access)
        with step("terraform apply"):
            self._terraform.apply(self._variables(legacy, access))

    def _variables(self, legacy: LegacySide, access: Access) -> dict[str, Any]:
        return {
            "aws_region": REGION,
            "env": self.emulator.env,
            "vpc_id": legacy.vpc_id,
            "rds_sg_id": legacy.security_group_id,
            "rds_secret_arn": legacy.secret_arn,
            "rds_connection_param_name": legacy.parameter_name,
            "build_dir": str(self.settings.build_folder),
            "mysql_port": access.port,
            "mysql_tls": access.tls,
            "mysql_ca_pem": access.ca_pem,
            "api_username": API_ACCOUNT.user,
            "api_password": API_ACCOUNT.password,
            "failure_destination": self.settings.failure_destination,
            "stream_maximum_record_age_seconds": RECORD_AGE,
            "stream_maximum_retry_attempts": RETRIES,
            # An emulator asks for no role of the account; and MiniStack answers a stage without logs as one with some.
            "api_access_logs": True,
            "deletion_protection": False,
            "failures_bucket_force_destroy": True,
            # The provider watches a new lifecycle rule for a minute; nothing here lives long enough to need one.
            "replayed_retention_days": 0,
        }

    def _prepared_access(self) -> Access:
        if self.settings.server is None:
            return self.access
        with step(f"database server at {self.settings.server.host}"):
            return prepare(self.access, self.settings.home)

    def _demand_own_server(self) -> None:
        if self.settings.server:
            raise StackError(f"the server at {self.settings.server.host} is not this stack's to stop or start")


def _fingerprint(access: Access) -> str:
    """Another database, or the same one with all its data gone, gets a deployment of its own."""
    facts = (access.host_for_lambda, access.port, access.database, access.app, access.tls, access.ca_pem)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _reachable(api_url: str, endpoint: str) -> str:
    """An API's address as AWS spells it, `https://<id>.execute-api.<region>.amazonaws.com/<stage>`, at the emulator."""
    found = re.match(r"https?://([^./]+)\.execute-api\.[^/]+/([^/]+)", api_url)
    return f"{endpoint}/_aws/execute-api/{found[1]}/{found[2]}" if found else api_url


def _run_logged(command: list[str], log: Path) -> None:
    with log.open("wb") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise StackError("failed", log)
