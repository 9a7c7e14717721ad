"""Terraform on a copy of terraform/, with local state: applied to the emulator, its provider cached or mirrored."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.local_stack.emulator import CREDENTIALS, aws_environment
from scripts.local_stack.process import Daemon
from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.terminal import StackError, say

OLDEST_TERRAFORM = (1, 5)
REPORT_EVERY = 10  # seconds
SOURCE = REPOSITORY / "terraform"
LOCK_FILE = ".terraform.lock.hcl"
MIRROR_VARIABLE = "TF_PLUGIN_MIRROR"
REGISTRY = "registry.terraform.io"
NO_PROVIDER = f"""
Terraform downloads its provider from {REGISTRY}. Without internet access set {MIRROR_VARIABLE} to a folder that
`terraform providers mirror` wrote, or put the folder's content into ~/.terraform.d/plugins."""
# A module refers to this folder by a path relative to its own.
NEIGHBOURS = ("statemachines",)
OVERRIDES = {
    "backend_override.tf": 'terraform {\n  backend "local" {}\n}\n',
    "provider_override.tf": f"""provider "aws" {{
  access_key                  = "{CREDENTIALS["AWS_ACCESS_KEY_ID"]}"
  secret_key                  = "{CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
}}
""",
    # The emulators do not store these settings: without this every plan would set them again.
    "modules/orders_api/drift_override.tf": """resource "aws_cloudwatch_metric_alarm" "api" {
  lifecycle {
    ignore_changes = [tags, tags_all]
  }
}
""",
    "modules/pipeline/drift_override.tf": """resource "aws_cloudwatch_metric_alarm" "pipeline" {
  lifecycle {
    ignore_changes = [tags, tags_all]
  }
}

resource "aws_cloudwatch_composite_alarm" "replication_at_risk" {
  lifecycle {
    ignore_changes = [tags, tags_all]
  }
}

resource "aws_sfn_state_machine" "replay" {
  lifecycle {
    ignore_changes = [tracing_configuration]
  }
}

resource "aws_sfn_state_machine" "job" {
  lifecycle {
    ignore_changes = [tracing_configuration]
  }
}

resource "aws_lambda_event_source_mapping" "stream" {
  lifecycle {
    ignore_changes = [metrics_config]
  }
}

resource "aws_vpc_security_group_egress_rule" "consumer_mysql" {
  lifecycle {
    ignore_changes = [description]
  }
}

resource "aws_vpc_security_group_ingress_rule" "mysql_consumer" {
  lifecycle {
    ignore_changes = [description]
  }
}
""",
}


@dataclass(frozen=True)
class Terraform:
    home: Path
    cache: Path
    endpoint: str

    @property
    def folder(self) -> Path:
        return self.home / "work" / "terraform"

    @property
    def log(self) -> Path:
        return self.home / "terraform.log"

    @property
    def has_state(self) -> bool:
        return (self.folder / "terraform.tfstate").exists()

    @property
    def deployed(self) -> bool:
        """Whether an apply has succeeded since the state was empty: the deployment may hold data."""
        return self._deployed.exists()

    @property
    def _deployed(self) -> Path:
        return self.home / "deployed"

    def forget(self) -> None:
        """Drops the state, for an emulator that no longer holds what the state describes."""
        self._deployed.unlink(missing_ok=True)
        for file in self.folder.glob("*.tfstate*"):
            file.unlink()

    def copy_sources(self) -> None:
        """Replaces the configuration; the state and the installed provider stay."""
        copy_configuration(self.folder)
        for name, text in OVERRIDES.items():
            (self.folder / name).write_text(text)

    def init(self) -> None:
        self._run("init", "-reconfigure")

    def apply(self, variables: Mapping[str, Any]) -> None:
        (self.folder / "local.auto.tfvars.json").write_text(json.dumps(variables, indent=2))
        self._run("apply", "-auto-approve")
        self._deployed.touch()

    def destroy(self) -> None:
        self._run("destroy", "-auto-approve")

    def planned_changes(self) -> set[str]:
        """The types of the resources that another apply would change."""
        return {change["type"] for change in self._plan() if change["change"]["actions"] not in (["no-op"], ["read"])}

    def planned(self, kind: str, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The values of every resource of a type after another apply, with other values of these variables.

        Without values that only an apply makes. Nothing is applied.
        """
        file = self.home / "planned.tfvars.json"
        file.write_text(json.dumps(variables))
        changes = [change["change"] for change in self._plan(f"-var-file={file}") if change["type"] == kind]
        return [change["after"] for change in changes if change["after"]]

    def resources(self) -> set[str]:
        """The addresses of all deployed resources."""
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        return {
            f"{resource.get('module', 'root')}.{resource['type']}.{resource['name']}[{instance.get('index_key', '')}]"
            for resource in state["resources"]
            if resource["mode"] == "managed"
            for instance in resource["instances"]
        }

    def outputs(self) -> dict[str, Any]:
        return {name: output["value"] for name, output in self._json("output", "-json").items()}

    def _plan(self, *arguments: str) -> list[dict[str, Any]]:
        self._run("plan", "-out=plan", *arguments)
        changes: list[dict[str, Any]] = self._json("show", "-json", "plan")["resource_changes"]
        return changes

    def _json(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"terraform {arguments[0]}: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def end_interrupted_run(self) -> bool:
        """Whether an earlier run was killed during a change, so that the state may lack resources.

        A Terraform process that outlived its run is killed: it would create resources beside the new one's.
        """
        interrupted = any(self._process(verb).pid_file.exists() for verb in ("apply", "destroy"))
        for verb in ("init", "apply", "destroy"):
            self._process(verb).kill()
        return interrupted

    def _process(self, verb: str) -> Daemon:
        """The pid file exists from the start of a run until its end has been handled."""
        return Daemon(self.home / f"terraform-{verb}.pid", self.log, marker=f"-chdir={self.folder}")

    def _run(self, verb: str, *arguments: str) -> None:
        start = self.log.stat().st_size if self.log.exists() else 0
        process = self._process(verb)
        command = ["terraform", f"-chdir={self.folder}", verb, "-input=false", "-no-color", *arguments]
        code = self._wait(process, process.launch(command, self._environment(), self.folder), start)
        process.pid_file.unlink(missing_ok=True)
        if code != 0:
            raise StackError(f"terraform {verb}: {_first_error(self._written_since(start))}", self.log)

    def _wait(self, process: Daemon, child: subprocess.Popen[bytes], start: int) -> int:
        while True:
            try:
                return child.wait(timeout=REPORT_EVERY)
            except subprocess.TimeoutExpired:
                done = len(re.findall(r"(?:Creation|Destruction) complete", self._written_since(start)))
                say(f"         {done} resources done")
            except KeyboardInterrupt:
                say("         waiting for Terraform to write its state")
                process.interrupt()
                child.wait()
                process.pid_file.unlink(missing_ok=True)
                raise

    def _written_since(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def _environment(self) -> dict[str, str]:
        return {**aws_environment(self.endpoint, os.environ), **plugin_cache(self.cache)}


def copy_configuration(folder: Path) -> None:
    """Copies the configuration and its lock file into `folder`, which Terraform may write to, unlike the sources."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.tf"), *folder.glob("modules/*/*.tf")):
        old.unlink()
    for source in (*SOURCE.glob("*.tf"), *SOURCE.glob("modules/*/*.tf"), *SOURCE.glob(LOCK_FILE)):
        copy = folder / source.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    for neighbour in NEIGHBOURS:
        _link(folder.parent / neighbour, REPOSITORY / neighbour)
    link_mirror(folder)


def link_mirror(folder: Path) -> None:
    """Makes TF_PLUGIN_MIRROR a source of providers for the configuration in `folder`.

    Terraform searches `terraform.d/plugins` of the current folder, as it searches `~/.terraform.d/plugins` and the
    other implied mirror directories of its CLI configuration. Raises StackError when the variable names no mirror.
    """
    link = folder / "terraform.d" / "plugins"
    link.unlink(missing_ok=True)
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return
    if not Path(mirror, REGISTRY).is_dir():
        raise StackError(
            f"{MIRROR_VARIABLE} is {mirror}, which has no folder {REGISTRY}: unset it, or set it to a mirror"
        )
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path(mirror).resolve(), target_is_directory=True)


def plugin_cache(cache: Path) -> dict[str, str]:
    """The variables that make Terraform download each provider once; a cache that the user has set up is kept."""
    plugins = Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or cache / "terraform-plugins")
    plugins.mkdir(parents=True, exist_ok=True)
    return {"TF_PLUGIN_CACHE_DIR": str(plugins), "TF_IN_AUTOMATION": "true"}


def require_terraform() -> None:
    oldest = ".".join(map(str, OLDEST_TERRAFORM))
    needed = f"Terraform {oldest} or newer is needed: https://developer.hashicorp.com/terraform/install"
    try:
        done = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise StackError(needed) from error
    found = str(json.loads(done.stdout)["terraform_version"])
    if tuple(int(number) for number in re.findall(r"\d+", found)[:2]) < OLDEST_TERRAFORM:
        raise StackError(f"{needed} (found {found})")


def _first_error(text: str) -> str:
    found = re.search(r"Error: (.+)", text)
    return (found.group(1).strip() if found else "failed") + advice(text)


def advice(text: str) -> str:
    """What to do, for output of `terraform init` that says that the provider could not be had; else empty."""
    return NO_PROVIDER if re.search(r"Error: Failed to (query available|install) provider", text) else ""


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
