"""The emulated AWS: this stack's own MiniStack, or the emulator at AWS_ENDPOINT_URL, and clients for it."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import urllib3
from botocore.config import Config

from scripts.local_stack.process import LOOPBACK, Daemon, poll, same_or_free_port, stored_port
from scripts.local_stack.settings import REGION, StackSettings
from scripts.local_stack.terminal import StackError

START_TIMEOUT = 30
# The folder as an argument distinguishes this process from any other MiniStack.
LAUNCH = "import sys; sys.argv[1:] = []; from ministack.app import main; main()"
# The emulator accepts any region and credentials; twelve digits as the key would select an account.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
FOREIGN = ("AWS_", "TF_VAR_", "TF_CLI_ARGS")
# An emulator on this machine is never behind a proxy. The pool has a connection for each of the simulator's workers.
CONFIG = Config(proxies={}, s3={"addressing_style": "path"}, max_pool_connections=32)


@lru_cache
def client(service: str, endpoint: str) -> Any:
    # The user's profile and configuration files belong to a real account.
    own_files = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = boto3.Session(
        botocore_session=botocore.session.Session(session_vars=own_files),
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    make: Any = session.client  # its stubs accept the service's name as a literal only
    return make(service, endpoint_url=endpoint, config=CONFIG)


def aws_environment(endpoint: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that calls the emulator, without the caller's own AWS account."""
    own = {name: value for name, value in environment.items() if not name.startswith(FOREIGN)}
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    place = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": endpoint}
    return {**own, **CREDENTIALS, **files, **place, **no_proxy(environment)}


def no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY in both spellings, with the loopback addresses added."""
    listed = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    value = ",".join(filter(None, [listed, LOOPBACK, "localhost"]))
    return {"NO_PROXY": value, "no_proxy": value}


class MiniStack:
    """MiniStack from this venv, as a background process on its own port.

    It keeps no state across a restart: a restored stream would skip records.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.log = self.home / "ministack.log"
        self._port_file = self.home / "port"
        self._daemon = Daemon(self.home / "ministack.pid", self.log, marker=f"main() {self.home}")

    @property
    def url(self) -> str:
        port = stored_port(self._port_file)
        if port is None:
            raise StackError("the stack is not up: make up")
        return f"http://{LOOPBACK}:{port}"

    @property
    def healthy(self) -> bool:
        return self._daemon.pid() is not None and self._answers()

    def start_fresh(self) -> None:
        self.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        same_or_free_port(self._port_file)
        self._daemon.start([sys.executable, "-c", LAUNCH, str(self.home)], self._environment(), self.home)
        poll(lambda: self._answers() or self._daemon.pid() is None, START_TIMEOUT)
        if not self.healthy:
            raise StackError("MiniStack does not answer", self.log)

    def stop(self) -> None:
        self._daemon.stop(timeout=5)

    @property
    def _scratch(self) -> Path:
        return self.home / "tmp"

    def _answers(self) -> bool:
        try:
            answer = urllib3.request("GET", f"{self.url}/_ministack/health", timeout=2, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200  # noqa: PLR2004

    def _environment(self) -> dict[str, str]:
        """Built from scratch: MiniStack passes its environment on to the functions, where a variable of the
        user's shell could change what they do."""
        scratch = str(self._scratch)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": scratch,
            "TMPDIR": scratch,
            "LANG": "C.UTF-8",
            "GATEWAY_PORT": str(stored_port(self._port_file)),
            "BIND_HOST": LOOPBACK,  # its default is every interface
            "IOT_MTLS_ENABLED": "0",  # else it listens on port 8883
            "SFTP_ENABLED": "0",
            "S3_DATA_DIR": f"{scratch}/s3",
            "STATE_DIR": f"{scratch}/state",
            "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",  # else it removes other MiniStacks' containers
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
        }


class Emulator:
    """The emulator of a stack, and the mark that says which deployment it holds.

    Emulators forget everything when they restart. The mark is a parameter, stored before anything is deployed: it
    tells whether the emulator still holds what the Terraform state describes, and for which database.
    """

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        self._own = None if settings.endpoint else MiniStack(settings.home / "ministack")

    @property
    def url(self) -> str:
        return self._own.url if self._own else str(self._settings.endpoint)

    @property
    def running(self) -> bool:
        """An emulator at AWS_ENDPOINT_URL is assumed to run: the first call to it will tell."""
        return self._own.healthy if self._own else True

    @property
    def env(self) -> str:
        """Terraform's `env`; with a number after an earlier deployment had to be left behind."""
        return f"{self._settings.env}{self._generation or ''}"

    def ensure_running(self) -> None:
        if self._own:
            if not self._own.healthy:
                self._own.start_fresh()
            return
        try:
            urllib3.request("GET", self.url, timeout=10, retries=False)
        except urllib3.exceptions.HTTPError as error:
            raise StackError(f"nothing answers at AWS_ENDPOINT_URL={self.url}: is LocalStack up?") from error

    def mark(self) -> str | None:
        ssm = client("ssm", self.url)
        try:
            return str(ssm.get_parameter(Name=self._mark_name)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return None

    def leave_mark(self, mark: str) -> None:
        client("ssm", self.url).put_parameter(Name=self._mark_name, Value=mark, Type="String", Overwrite=True)

    def remove_mark(self) -> None:
        client("ssm", self.url).delete_parameters(Names=[self._mark_name])

    def start_over(self) -> None:
        """Makes room for a new deployment: restarts MiniStack, or takes the next free name on another emulator."""
        if self._own:
            self._own.start_fresh()
            return
        file = self._settings.stack_home / "generation"
        for generation in itertools.count(self._generation + 1):
            file.write_text(str(generation))
            if self.mark() is None:
                return

    def stop(self) -> None:
        if self._own:
            self._own.stop()

    @property
    def _generation(self) -> int:
        file = self._settings.stack_home / "generation"
        return int(file.read_text()) if file.exists() else 0

    @property
    def _mark_name(self) -> str:
        return f"/backstream-{self.env}/local-stack"
