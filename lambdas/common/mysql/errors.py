"""What to do about a MySQL error, decided by its number alone.

PyMySQL's exception classes mix the verdicts: 1205, 1290 and 9501 arrive as OperationalError, as 1045 does.
Numbers: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, MariaDB's at
https://mariadb.com/kb/en/mariadb-error-code-reference/, RDS Proxy's at
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html
"""

from __future__ import annotations

import ssl
from typing import NamedTuple

from common.database import DatabaseError, HoldError, StopError, Verdict

# Verdicts about a single row.
OF_A_ROW = frozenset({Verdict.POISON, Verdict.DEFER})


class Rule(NamedTuple):
    """`metric` counts the calls that hold or stop for an error of the connection, of its locks or of the storage."""

    verdict: Verdict
    hint: str
    metric: str = ""


_DOWN = Rule(Verdict.HOLD, "the database is down or unreachable; changes wait until it answers", "database_unreachable")
_CLOSED = Rule(
    Verdict.HOLD, "the connection was closed: the database restarts or fails over; changes wait", "connection_lost"
)
_LOST = Rule(
    Verdict.HOLD,
    "the connection was lost, or there was no answer within MYSQL_READ_TIMEOUT: the database is down, or a long"
    " transaction holds the rows; changes wait until it answers",
    "connection_lost",
)
_BUSY = Rule(Verdict.HOLD, "the database is overloaded; check its connections and long transactions", "database_busy")
_LOCKED = Rule(
    Verdict.HOLD, "another transaction holds the rows; look for long transactions on the target", "rows_locked"
)
_READ_ONLY = Rule(
    Verdict.HOLD, "the server is read-only: a failover is under way, or this is a replica", "database_read_only"
)
_FULL = Rule(Verdict.HOLD, "the server has no storage left; free some or add some", "storage_full")
_LOGIN = Rule(
    Verdict.STOP,
    "check the secret's username and password, the user's grants, and MYSQL_TLS if it must use TLS",
    "login_refused",
)
_SECURE_LOGIN = Rule(
    Verdict.STOP,
    "the account logs in with caching_sha2_password or sha256_password, which need TLS here; set mysql_tls"
    " (MYSQL_TLS) to verify or require",
    "login_refused",
)
_LOGIN_PLUGIN = Rule(
    Verdict.STOP,
    "the driver does not support this account's authentication plugin; use caching_sha2_password and TLS, or"
    " mysql_native_password",
    "login_refused",
)
_SCHEMA = Rule(Verdict.STOP, "the schema differs from the table mapping; run the schema step")
_TLS = Rule(Verdict.STOP, "check MYSQL_TLS, MYSQL_CA_PEM and the server's certificate", "tls_refused")
_VALUE = Rule(
    Verdict.POISON, "the value does not fit its column; correct the item, its next version supersedes this one"
)
_LARGE = Rule(Verdict.POISON, "the row is larger than the server's max_allowed_packet; raise it, then retry the record")
_CLASH = Rule(
    Verdict.DEFER,
    "another row holds the same unique value; every replay tries it again for a day, then resolve the clash and retry",
)
_REFERENCE = Rule(
    Verdict.DEFER,
    "the row it refers to is missing, or rows refer to the one to be deleted; every replay tries it again for a day,"
    " then correct the reference and retry",
)
EXHAUSTED = Rule(
    Verdict.DEFER,
    "the table's AUTO_INCREMENT column has no number left; every replay tries it again for a day: widen it",
)
_GENERATED = Rule(Verdict.STOP, "the mapping writes a generated column; take it out of the mapping")

RULES: dict[int, Rule] = {
    # the database or the path to it is down
    1042: _DOWN,  # can't get hostname
    1043: _DOWN,  # bad handshake
    1053: _DOWN,  # shutdown in progress
    1079: _DOWN,  # shutdown complete
    1152: _CLOSED,  # aborting connection
    1158: _CLOSED,  # network read
    1159: _CLOSED,  # network read interrupted
    1160: _CLOSED,  # network write
    1161: _CLOSED,  # network write interrupted
    1180: _DOWN,  # error during commit
    1184: _CLOSED,  # aborting connection
    1927: _CLOSED,  # MariaDB: connection was killed
    2002: _DOWN,  # can't connect, local
    2003: _DOWN,  # can't connect
    2005: _DOWN,  # unknown host
    2006: _CLOSED,  # server has gone away
    2012: _DOWN,  # server handshake
    2013: _LOST,  # lost connection during query
    2014: _DOWN,  # commands out of sync
    2055: _CLOSED,  # lost connection, extended
    3032: _DOWN,  # offline mode
    3169: _CLOSED,  # session was killed
    4031: _CLOSED,  # disconnected by the server because of inactivity
    9501: _DOWN,  # RDS Proxy: timed out waiting for a connection
    # overloaded
    1040: _BUSY,  # too many connections
    1041: _BUSY,  # out of memory
    1105: _BUSY,  # unknown error, as RDS Proxy reports
    1129: _BUSY,  # host blocked after many connection errors
    1203: _BUSY,  # too many connections of this user
    1206: _BUSY,  # lock table full
    1226: _BUSY,  # user limit reached
    1317: _BUSY,  # query interrupted
    1637: _BUSY,  # too many concurrent transactions
    1969: _BUSY,  # MariaDB: max_statement_time exceeded
    3024: _BUSY,  # max_execution_time exceeded
    # locks
    1020: _LOCKED,  # MariaDB: changed since the transaction's snapshot; rolls back the transaction
    1099: _LOCKED,  # table locked with a READ lock
    1205: _LOCKED,  # lock wait timeout: rolls back the statement only
    1213: _LOCKED,  # deadlock: rolls back the transaction
    3100: _LOCKED,  # hook before commit
    3101: _LOCKED,  # group replication rolled back
    3572: _LOCKED,  # NOWAIT
    # read-only
    1290: _READ_ONLY,  # --read-only
    1792: _READ_ONLY,  # read-only transaction
    1836: _READ_ONLY,  # read-only mode
    # full
    1021: _FULL,  # disk full
    1026: _FULL,  # error writing file
    1030: _FULL,  # error from storage engine
    1114: _FULL,  # table is full
    3: _FULL,  # error writing file
    # credentials and grants
    1044: _LOGIN,
    1045: _LOGIN,  # also during a rotation: the secret is read again once before this verdict
    1049: _LOGIN,  # unknown database
    1142: _LOGIN,
    1130: _LOGIN,  # host not allowed
    1143: _LOGIN,
    1227: _LOGIN,
    1370: _LOGIN,
    1820: _LOGIN,  # password must be reset
    1862: _LOGIN,  # password expired
    3118: _LOGIN,  # account locked
    4151: _LOGIN,  # account locked, MariaDB
    1698: _LOGIN,  # access denied, MariaDB's and socket authentication
    2059: _LOGIN_PLUGIN,  # the driver lacks the authentication plugin
    2061: _SECURE_LOGIN,  # the authentication plugin needs a secure connection
    # schema
    1054: _SCHEMA,  # unknown column
    1064: _SCHEMA,  # syntax: a column or table name the mapping got wrong
    1136: _SCHEMA,  # column count
    1146: _SCHEMA,  # no such table
    1267: _SCHEMA,  # mix of collations
    1305: _SCHEMA,  # no such function: a trigger's
    1906: _GENERATED,  # MariaDB
    3105: _GENERATED,  # MySQL
    1364: _SCHEMA,  # a column without default that the mapping does not fill: no row can be written
    # TLS
    2026: _TLS,
    3159: _TLS,  # RDS Proxy requires TLS
    # this row
    1048: _VALUE,  # null
    1153: _LARGE,  # packet too large
    1264: _VALUE,  # out of range
    1265: _VALUE,  # truncated
    1118: _VALUE,  # the row is too large for its page
    1292: _VALUE,  # wrong value
    1365: _VALUE,  # division by zero, in a trigger or a generated column
    1366: _VALUE,  # wrong value for the column
    1406: _VALUE,  # too long
    1525: _VALUE,  # wrong value of a type
    1644: _VALUE,  # SIGNAL from a trigger
    1690: _VALUE,  # out of range in an expression
    3140: _VALUE,  # invalid JSON
    3141: _VALUE,  # invalid JSON, in a function
    3819: _VALUE,  # CHECK, MySQL
    4025: _VALUE,  # CHECK, MariaDB
    # this row, for now
    167: EXHAUSTED,  # MariaDB: no number is left
    1467: EXHAUSTED,  # failed to read the next number
    1062: _CLASH,  # duplicate entry on another unique key
    1216: _REFERENCE,  # 1452 for a user without any right on the other table, on MySQL
    1217: _REFERENCE,  # 1451, likewise
    1451: _REFERENCE,
    1452: _REFERENCE,
}

# An unknown number is decided by evidence. Where other rows of the batch are accepted, the error is the row's: the row
# is parked and every replay tries it again. Where none is, the error is the database's and holds.
UNKNOWN = Rule(Verdict.HOLD, "Backstream does not know this error; see its number and the server's log")


def number(error: BaseException) -> int | None:
    """MySQL's error number, or None for an error that carries none (sockets, TLS, driver)."""
    if isinstance(error, OSError):
        return None  # its number is the operating system's
    return error.args[0] if error.args and isinstance(error.args[0], int) and error.args[0] else None


def rule(error: BaseException) -> Rule:
    """The rule for an exception raised while talking to MySQL."""
    errno = number(error)
    # PyMySQL wraps a refused certificate into 2003, "can't connect".
    if isinstance(getattr(error, "original_exception", error), ssl.SSLCertVerificationError):
        return _TLS
    if isinstance(error, OSError) or errno is None:
        return _DOWN
    return RULES.get(errno, UNKNOWN)


def is_about_a_row(error: BaseException) -> bool:
    """Whether the error may be about a single row, rather than about the database or the table."""
    found = rule(error)
    return found is UNKNOWN or found.verdict in OF_A_ROW


def database_error(operation: str, error: BaseException) -> DatabaseError:
    """What `operation` raises for an exception raised while talking to MySQL.

    The error itself must not be chained: its message may hold row values.
    """
    found, errno = rule(error), number(error)
    kind = HoldError if found.verdict is Verdict.HOLD else StopError
    problem = f"MySQL error {errno}" if errno else type(error).__name__
    return kind(operation, problem, found.hint, errno, metric=found.metric)
