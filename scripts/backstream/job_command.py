"""What the commands of jobs have in common: their options, starting, following."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backstream.errors import ExitCode, UsageError
from backstream.job_execution import JobExecution
from backstream.job_report import Details, exit_code, follow, print_report
from backstream.options import count, deployment_of

_SHARED = ("dry_run", "restart", "concurrency")


@dataclass(frozen=True)
class JobCommand:
    """`name` is that of the command and of the job, `noun` what messages call one.

    `inputs` are the options that are passed on, beside those of all jobs. `attention` are the counts that need a
    person. `details` gives lines of the report. `rate` is the field of the input that `--rate` sets, and `rate_help`
    says what it bounds. Without `has_workers`, one worker runs. `dry_run_help` says what a dry run does.
    """

    name: str
    noun: str
    help: str
    description: str
    attention: tuple[str, ...]
    details: Details
    inputs: tuple[str, ...] = ()
    rate: str = "read_units_per_second"
    rate_help: str = "the most read units of the table to consume in a second"
    dry_run_help: str = "estimate only; change nothing"
    has_workers: bool = True

    def add_to(self, commands: Any, add_options: Callable[[argparse.ArgumentParser], None]) -> None:
        epilog = (
            f"Without a subcommand, {self.name} starts a {self.noun}."
            f" Its options: backstream {self.name} start --help\n"
        )
        parser = commands.add_parser(self.name, help=self.help, description=self.description, epilog=epilog)
        parser.default_command = "start"
        subcommands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
        text = f"start a {self.noun}, or go on with one that was stopped, and follow it (the default)"
        starting = subcommands.add_parser("start", help=text, description=f"{text.capitalize()}.")
        starting.set_defaults(run=self.start)
        starting.add_argument("--dry-run", action="store_true", default=None, help=self.dry_run_help)
        starting.add_argument("--no-wait", action="store_true", help=f"start the {self.noun} and do not follow it")
        starting.add_argument(
            "--restart", action="store_true", default=None, help="begin anew, though an earlier one was stopped"
        )
        starting.add_argument(
            "--rate",
            type=count,
            dest=self.rate,
            metavar="N",
            help=self.rate_help,
        )
        if self.has_workers:
            starting.add_argument(
                "--concurrency", type=count, metavar="N", help="workers, one database connection each"
            )
        add_options(starting)
        text = f"follow a {self.noun}, or print how it ended"
        watching = subcommands.add_parser("watch", help=text, description=f"{text.capitalize()}.")
        watching.set_defaults(run=self.watch)
        watching.add_argument("execution", nargs="?", metavar="ARN", help="the execution; without it the running one")

    def start(self, options: argparse.Namespace) -> int:
        names = (*_SHARED, self.rate, *self.inputs)
        given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
        execution = JobExecution.start(deployment_of(options), self.name, given)
        print(f"execution {execution.arn}", file=sys.stderr)
        if options.no_wait:
            if options.json:
                print(json.dumps({"execution": execution.arn}))
            return ExitCode.DONE
        return self._follow(execution, options)

    def watch(self, options: argparse.Namespace) -> int:
        deployment = deployment_of(options)
        if options.execution:
            return self._follow(JobExecution(deployment, self.name, options.execution), options)
        execution = JobExecution.running(deployment, self.name)
        if execution is None:
            raise UsageError(f"no {self.noun} is running; to see how one ended, give its ARN")
        return self._follow(execution, options)

    def _follow(self, execution: JobExecution, options: argparse.Namespace) -> int:
        follow(execution)
        result = execution.result()
        code = exit_code(result, self.attention)
        print_report(result, code, self.details, as_json=options.json)
        return code
