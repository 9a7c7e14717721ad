"""The whole stack: from nothing to a first order in MySQL, and down again."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.local_stack.database import Account, DatabaseAccess
from scripts.local_stack.emulator import Emulator
from scripts.local_stack.external_server import access_to, prepare
from scripts.local_stack.first_order import Row, first_order, require_curl
from scripts.local_stack.mariadb import MariaDB
from scripts.local_stack.prerequisites import Prerequisites, ensure_prerequisites, remove_prerequisites
from scripts.local_stack.process import stack_lock
from scripts.local_stack.settings import REGION, REPOSITORY, StackSettings
from scripts.local_stack.terminal import StackError, in_parallel, say, step
from scripts.local_stack.terraform import Terraform, require_terraform

API_ACCOUNT = Account("foo", "bar")
RECORD_AGE = 60  # seconds, the least that AWS allows: an outage produces failed batches within minutes
RETRIES = 5
SETTLE = 5  # seconds; a change reaches MySQL faster here
STAYS = "The earlier deployment is unchanged. Fix the cause and run make up again, or make down first to start empty."


class Stack:
    """Every command can be repeated, also after one that was killed."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.mariadb = MariaDB(settings.home / "mysql")
        self.emulator = Emulator(settings)

    def up(self) -> Row:
        require_terraform()
        require_curl()
        with stack_lock(self.settings.home):
            self.settings.stack_home.mkdir(parents=True, exist_ok=True)
            interrupted = self._sources.end_interrupted_run()
            if not self.emulator.running:
                self._forget_outputs()
            in_parallel(self._start_database, self._start_emulator, self._build, self._fetch_providers)
            self._deploy(interrupted=interrupted)
            outputs = self.outputs()
            _write_outputs(self.settings.outputs_file, outputs)
            with step("first order"):
                return first_order(outputs["api_url"], API_ACCOUNT, self.access)

    def down(self) -> None:
        with stack_lock(self.settings.home):
            self._sources.end_interrupted_run()
            if self.settings.endpoint and self._terraform.has_state:
                with step(f"removing the deployment from {self.settings.endpoint}"):
                    self._remove_deployment()
            with step("stopping the emulator and the database server"):
                self._forget_outputs()
                self.emulator.stop()
                self.mariadb.stop()

    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs, with addresses that this machine reaches. Raises StackError when the stack is not up."""
        outputs = self._terraform.outputs() if self.emulator.running else {}
        if not outputs:
            raise StackError("the stack is not up: make up")
        endpoint = self.emulator.url
        return {**outputs, "endpoint_url": endpoint, "api_url": _reachable(outputs["api_url"], endpoint)}

    @property
    def access(self) -> DatabaseAccess:
        return access_to(self.settings.server) if self.settings.server else self.mariadb.access

    def db_stop(self) -> None:
        self._require_own_server()
        with stack_lock(self.settings.home):
            self.mariadb.stop()

    def db_start(self) -> None:
        self._require_own_server()
        with stack_lock(self.settings.home):
            self.mariadb.start(move_port=False)

    def planned_changes(self) -> set[str]:
        """The types of the resources that another apply would change."""
        return self._terraform.planned_changes()

    def planned(self, kind: str, **changed: Any) -> list[dict[str, Any]]:
        """The values of every resource of a type after another apply, with `changed` values of variables."""
        return self._terraform.planned(kind, changed)

    def redeploy(self, **changed: Any) -> None:
        """Applies again, with `changed` values of Terraform's variables; without any, as `up` does."""
        prerequisites = ensure_prerequisites(self.emulator.url, self.emulator.env, self.access)
        self._terraform.apply({**self._variables(prerequisites, self.access), **changed})

    def destroy(self) -> None:
        """`terraform destroy`, and nothing else."""
        self._terraform.destroy()

    def resources(self) -> set[str]:
        """The addresses of all deployed resources."""
        return self._terraform.resources()

    @property
    def _sources(self) -> Terraform:
        """For the steps that need no emulator."""
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
            self._forget_deployment()
        elif found != mark or interrupted:
            self._start_over()
        self._apply_or_start_over(access, mark)

    def _apply_or_start_over(self, access: DatabaseAccess, mark: str) -> None:
        """Some resources are there and not in the state, and cannot be created again.

        A first run that was killed leaves such ones. On a busy machine the emulator may also answer too late: the AWS
        SDK then sends a request again, and the resource that the first one made is in the way.

        A complete deployment is not replaced: it holds orders, and its old code goes on working.
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
            with suppress(StackError):  # what cannot be removed stays, under its old name
                self._remove_deployment()
        self.emulator.start_over()
        self._forget_deployment()

    def _remove_deployment(self) -> None:
        self._terraform.destroy()
        remove_prerequisites(self.emulator.url, self.emulator.env)
        self.emulator.remove_mark()
        self._forget_deployment()

    def _forget_deployment(self) -> None:
        self._terraform.forget()
        self._forget_outputs()

    def _forget_outputs(self) -> None:
        self.settings.outputs_file.unlink(missing_ok=True)

    def _apply(self, access: DatabaseAccess, mark: str) -> None:
        self.emulator.leave_mark(mark)
        with step("prerequisites: network, secret and address of the database"):
            prerequisites = ensure_prerequisites(self.emulator.url, self.emulator.env, access)
        with step("terraform apply"):
            self._terraform.apply(self._variables(prerequisites, access))

    def _variables(self, prerequisites: Prerequisites, access: DatabaseAccess) -> dict[str, Any]:
        return {
            "aws_region": REGION,
            "env": self.emulator.env,
            "vpc_id": prerequisites.vpc_id,
            "rds_sg_id": prerequisites.security_group_id,
            "rds_secret_arn": prerequisites.secret_arn,
            "rds_connection_param_name": prerequisites.parameter_name,
            "build_dir": str(self.settings.build_folder),
            "mysql_port": access.port,
            "mysql_tls": access.tls,
            "mysql_ca_pem": access.ca_pem,
            "api_username": API_ACCOUNT.user,
            "api_password": API_ACCOUNT.password,
            "failure_destination": self.settings.failure_destination,
            "stream_maximum_record_age_seconds": RECORD_AGE,
            "stream_maximum_retry_attempts": RETRIES,
            "verify_settle_seconds": SETTLE,
            # MiniStack returns little of an alarm but its name: every plan would set the rest again.
            "create_alarms": bool(self.settings.endpoint),
            "create_dashboard": bool(self.settings.endpoint),
            # Emulators need no account-wide role for them, and MiniStack always reports a stage with logs.
            "api_access_logs": True,
            "deletion_protection": False,
            "failures_bucket_force_destroy": True,
            # The provider waits a minute for a new lifecycle rule, which this short-lived bucket does not need.
            "replayed_retention_days": 0,
        }

    def _prepared_access(self) -> DatabaseAccess:
        if self.settings.server is None:
            return self.access
        with step(f"database server at {self.settings.server.host}"):
            return prepare(self.access, self.settings.home)

    def _require_own_server(self) -> None:
        if self.settings.server:
            raise StackError(
                f"the server at {self.settings.server.host} is external: this stack does not stop or start it"
            )


def _fingerprint(access: DatabaseAccess) -> str:
    """It differs for another database, and for one whose data was removed: each gets its own deployment."""
    facts = (access.host_for_lambda, access.port, access.database, access.app, access.tls, access.ca_pem)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _reachable(api_url: str, endpoint: str) -> str:
    """The emulator's address of an API that AWS has at `https://<id>.execute-api.<region>.amazonaws.com/<stage>`."""
    found = re.match(r"https?://([^./]+)\.execute-api\.[^/]+/([^/]+)", api_url)
    return f"{endpoint}/_aws/execute-api/{found[1]}/{found[2]}" if found else api_url


def _write_outputs(file: Path, outputs: dict[str, Any]) -> None:
    """In one step: a reader never sees half of the file."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(outputs, indent=2) + "\n")
    partial.replace(file)


def _run_logged(command: list[str], log: Path) -> None:
    with log.open("wb") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise StackError("failed", log)
