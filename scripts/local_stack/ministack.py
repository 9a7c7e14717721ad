"""The embedded AWS: MiniStack from this venv, in a process of its own, on a port of its own."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import urllib3

from scripts.local_stack.daemon import Daemon
from scripts.local_stack.failure import StackError
from scripts.local_stack.ports import LOOPBACK, remembered, same_or_free
from scripts.local_stack.waiting import poll

if TYPE_CHECKING:
    from pathlib import Path

START_TIMEOUT = 30
# The folder as an argument tells this process from anybody else's MiniStack.
LAUNCH = "import sys; sys.argv[1:] = []; from ministack.app import main; main()"


class MiniStack:
    """Keeps nothing across a restart on purpose: a restored stream skips records."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.log = self.home / "ministack.log"
        self._port_file = self.home / "port"
        self._daemon = Daemon(self.home / "ministack.pid", self.log, marker=f"main() {self.home}")

    @property
    def url(self) -> str:
        port = remembered(self._port_file)
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
        same_or_free(self._port_file)
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
        """Built from nothing: MiniStack hands its own environment to the functions, where a stray variable of
        this shell would change what they do."""
        scratch = str(self._scratch)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": scratch,
            "TMPDIR": scratch,
            "LANG": "C.UTF-8",
            "GATEWAY_PORT": str(remembered(self._port_file)),
            "BIND_HOST": LOOPBACK,  # its default is every interface
            "IOT_MTLS_ENABLED": "0",  # else it takes port 8883
            "SFTP_ENABLED": "0",
            "S3_DATA_DIR": f"{scratch}/s3",
            "STATE_DIR": f"{scratch}/state",
            "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",  # it would tidy up other MiniStacks' containers
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
        }
