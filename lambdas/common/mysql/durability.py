"""Settings of a server with which a commit that it has acknowledged may be lost.

A lost commit takes the version in the sidecar with it, and the change has left the stream: nothing brings it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pymysql.connections import Connection

_REDO, _BINLOG = "innodb_flush_log_at_trx_commit", "sync_binlog"
_SHOW = f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ('{_REDO}', '{_BINLOG}', 'log_bin', 'version', 'aurora_version')"
_WHERE = "in the parameter group or the server's options, then apply again"


def durability_warnings(connection: Connection[Any]) -> list[str]:
    """What is wrong, and what to do. Needs no privilege and sets nothing, so it pins no session of RDS Proxy:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
    """
    with connection.cursor() as cursor:
        cursor.execute(_SHOW)
        return list(warnings_of(dict(cursor.fetchall())))


def warnings_of(variables: Mapping[str, str]) -> Iterator[str]:
    """The same from the server's variables. Only Aurora has `aurora_version`."""
    redo, version = variables[_REDO], variables.get("aurora_version")
    if redo not in _durable(version, variables["version"]):
        when = "fails over or restarts" if version else "crashes"
        yield f"{_REDO} is {redo}: a committed change may be lost when the database {when}; set it to 1 {_WHERE}"
    # Aurora recovers from its cluster volume alone, and other servers from both logs:
    # https://dev.mysql.com/doc/refman/8.4/en/replication-options-binary-log.html#sysvar_sync_binlog
    if not version and variables["log_bin"] == "ON" and variables[_BINLOG] != "1":
        yield (
            f"{_BINLOG} is {variables[_BINLOG]} and the binary log is on: a committed change may be lost when"
            f" the database's host crashes, and a replica may lack it after a failover; set it to 1 {_WHERE}"
        )


def _durable(aurora_version: str | None, version: str) -> tuple[str, ...]:
    """The values with which a commit waits until it is on disk, or in the cluster volume.

    Aurora: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraMySQL.BestPractices.FeatureRecommendations.html
    MariaDB: https://mariadb.com/docs/server/server-usage/storage-engines/innodb/innodb-system-variables
    """
    if aurora_version:
        return ("1",) if aurora_version.startswith(("1.", "2.")) else ("1", "2")
    return ("1", "3") if "MariaDB" in version else ("1",)
