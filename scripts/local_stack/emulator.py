"""The emulated AWS of the stack: our own MiniStack, or the one at AWS_ENDPOINT_URL."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import urllib3

from scripts.local_stack.aws import client
from scripts.local_stack.failure import StackError
from scripts.local_stack.ministack import MiniStack

if TYPE_CHECKING:
    from scripts.local_stack.settings import Settings


class Emulator:
    """A mark, left in the emulator before anything is deployed, tells whether it still holds what the Terraform
    state speaks of, and for which database: emulators forget everything when they restart."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._own = None if settings.endpoint else MiniStack(settings.home / "ministack")

    @property
    def url(self) -> str:
        return self._own.url if self._own else str(self._settings.endpoint)

    @property
    def running(self) -> bool:
        """Somebody else's is taken to be: whoever asks will see."""
        return self._own.healthy if self._own else True

    @property
    def env(self) -> str:
        """The env name of the deployment; with a number where an earlier one had to be left behind."""
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
        """Room for a new deployment: ours is emptied, in somebody else's the next free name is taken."""
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
