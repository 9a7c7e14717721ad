"""A working copy of terraform/, applied to the emulator with local state."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.local_stack.aws import CREDENTIALS, aws_environment
from scripts.local_stack.daemon import Daemon
from scripts.local_stack.failure import StackError
from scripts.local_stack.progress import say
from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.tf_mirror import link_mirror

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST_TERRAFORM = (1, 5)
REPORT_EVERY = 10
# What the configuration names by a path relative to its own folder.
NEIGHBOURS = ("lambdas", "statemachines")
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
    # Neither emulator keeps these, so that every plan would set them again.
    "drift_override.tf": """resource "aws_sfn_state_machine" "replay" {
  lifecycle {
    ignore_changes = [tracing_configuration]
  }
}

resource "aws_lambda_event_source_mapping" "orders" {
  lifecycle {
    ignore_changes = [metrics_config]
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
        """Whether an apply has succeeded since there was nothing: what is there may hold somebody's data."""
        return self._deployed.exists()

    @property
    def _deployed(self) -> Path:
        return self.home / "deployed"

    def forget(self) -> None:
        """For when the emulator has lost everything that the state speaks of."""
        self._deployed.unlink(missing_ok=True)
        for file in self.folder.glob("*.tfstate*"):
            file.unlink()

    def copy_sources(self) -> None:
        """As they are now; state and providers of the last time stay."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.tf"):
            old.unlink()
        for source in (REPOSITORY / "terraform").glob("*.tf"):
            shutil.copy(source, self.folder)
        for neighbour in NEIGHBOURS:
            _link(self.folder.parent / neighbour, REPOSITORY / neighbour)
        for name, text in OVERRIDES.items():
            (self.folder / name).write_text(text)

    def init(self) -> None:
        link_mirror(self.folder)
        self._run("init", "-reconfigure")

    def apply(self, variables: Mapping[str, Any]) -> None:
        (self.folder / "local.auto.tfvars.json").write_text(json.dumps(variables, indent=2))
        self._run("apply", "-auto-approve")
        self._deployed.touch()

    def destroy(self) -> None:
        self._run("destroy", "-auto-approve")

    def planned_changes(self) -> set[str]:
        """The types of the resources that another apply would change."""
        self._run("plan", "-out=plan")
        changes = self._json("show", "-json", "plan")["resource_changes"]
        return {change["type"] for change in changes if change["change"]["actions"] not in (["no-op"], ["read"])}

    def resources(self) -> set[str]:
        """The addresses of all that is deployed."""
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        return {
            f"{resource['type']}.{resource['name']}[{instance.get('index_key', '')}]"
            for resource in state["resources"]
            if resource["mode"] == "managed"
            for instance in resource["instances"]
        }

    def outputs(self) -> dict[str, Any]:
        return {name: output["value"] for name, output in self._json("output", "-json").items()}

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
        """Whether an earlier run was killed while it changed things, so that the state may not know of them all.

        A Terraform that has outlived its run is ended: it would go on creating beside ours.
        """
        interrupted = any(self._process(verb).pid_file.exists() for verb in ("apply", "destroy"))
        for verb in ("init", "apply", "destroy"):
            self._process(verb).kill()
        return interrupted

    def _process(self, verb: str) -> Daemon:
        """The pid file is there from the start of a run until somebody has seen its end."""
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
                say("         letting Terraform write down what it has made")
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


def plugin_cache(cache: Path) -> dict[str, str]:
    """Providers are downloaded once per machine; a cache that its user has set up already is left in charge."""
    plugins = Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or cache / "terraform-plugins")
    plugins.mkdir(parents=True, exist_ok=True)
    return {
        "TF_PLUGIN_CACHE_DIR": str(plugins),
        # Without a committed lock file Terraform would otherwise download what the cache holds.
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "true",
        "TF_IN_AUTOMATION": "true",
    }


def demand_terraform() -> None:
    oldest = ".".join(map(str, OLDEST_TERRAFORM))
    wanted = f"Terraform {oldest} or newer is needed: https://developer.hashicorp.com/terraform/install"
    try:
        done = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise StackError(wanted) from error
    found = str(json.loads(done.stdout)["terraform_version"])
    if tuple(int(number) for number in re.findall(r"\d+", found)[:2]) < OLDEST_TERRAFORM:
        raise StackError(f"{wanted} (found {found})")


def _first_error(text: str) -> str:
    found = re.search(r"Error: (.+)", text)
    return found.group(1).strip() if found else "failed"


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
