"""Hold, stop, poison or defer: decided by MySQL's error number alone, and never poison by default."""

from __future__ import annotations

import socket
import ssl

import pymysql
import pytest

from common.database import HoldError, SchemaMismatchError, Verdict
from common.mysql.errors import RULES, UNKNOWN, database_error, number, rule

# Written down a second time on purpose: to move a number from one line to another must be deliberate.
EXPECTED = {
    Verdict.HOLD: {
        *(
            3,
            1020,
            1021,
            1026,
            1030,
            1040,
            1041,
            1042,
            1043,
            1053,
            1079,
            1099,
            1105,
            1114,
            1129,
            1152,
            1158,
            1159,
            1160,
        ),
        *(1161, 1180, 1184, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1637, 1792, 1836, 1927, 1969, 2002, 2003, 2005),
        *(2006, 2012, 2013, 2014, 2055, 3024, 3032, 3100, 3101, 3169, 3572, 4031, 9501),
    },
    Verdict.STOP: {
        *(1044, 1045, 1049, 1054, 1064, 1130, 1136, 1142, 1143, 1146, 1227, 1267, 1305, 1364, 1370, 1698, 1820, 1862),
        *(2026, 3118, 3159, 4151),
        *(2059, 2061),
        *(1906, 3105),
    },
    Verdict.POISON: {
        *(1048, 1118, 1153, 1264, 1265, 1292, 1365, 1366, 1406, 1525, 1644, 1690, 3140, 3141, 3819, 4025),
    },
    Verdict.DEFER: {167, 1467, 1062, 1216, 1217, 1451, 1452},
}

# Likewise: an alarm may be on each of these. All other rules are about rows, schema or mapping, and count no class.
CLASSES_OF_ERRORS = {
    "database_unreachable": {1042, 1043, 1053, 1079, 1180, 2002, 2003, 2005, 2012, 2014, 3032, 9501},
    "connection_lost": {1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2055, 3169, 4031},
    "database_busy": {1040, 1041, 1105, 1129, 1203, 1206, 1226, 1317, 1637, 1969, 3024},
    "database_read_only": {1290, 1792, 1836},
    "rows_locked": {1020, 1099, 1205, 1213, 3100, 3101, 3572},
    "storage_full": {3, 1021, 1026, 1030, 1114},
    "login_refused": {
        *(1044, 1045, 1049, 1130, 1142, 1143, 1227, 1370, 1698, 1820, 1862, 2059, 2061, 3118, 4151),
    },
    "tls_refused": {2026, 3159},
}

# PyMySQL sorts numbers into classes in its own way; the verdict may not depend on it.
CLASSES = [
    pymysql.err.OperationalError,
    pymysql.err.DataError,
    pymysql.err.IntegrityError,
    pymysql.err.InternalError,
    pymysql.err.ProgrammingError,
]


def test_the_table_is_the_one_agreed():
    table = {verdict: {errno for errno, rule in RULES.items() if rule.verdict is verdict} for verdict in Verdict}

    assert table == EXPECTED


def test_the_classes_are_those_agreed():
    named = {rule.metric for rule in RULES.values()} - {""}

    assert {name: {n for n, rule in RULES.items() if rule.metric == name} for name in named} == CLASSES_OF_ERRORS


def test_every_error_that_holds_has_a_class():
    assert {errno for errno, rule in RULES.items() if rule.verdict is Verdict.HOLD and not rule.metric} == set()


@pytest.mark.parametrize("errno", sorted(RULES))
def test_an_error_carries_its_class(errno: int):
    assert database_error("applying", pymysql.OperationalError(errno, "")).metric == RULES[errno].metric


@pytest.mark.parametrize("errno", sorted(RULES))
def test_the_number_decides_whatever_class_the_driver_gives_it(errno: int):
    for kind in CLASSES:
        assert rule(kind(errno, "message")) is RULES[errno]
        assert number(kind(errno, "message")) == errno


@pytest.mark.parametrize("errno", sorted(RULES))
def test_every_rule_says_what_to_do_next(errno: int):
    assert len(RULES[errno].hint) > 20
    assert not RULES[errno].hint.endswith(".")


@pytest.mark.parametrize("errno", [1, 1063, 1213 + 10_000, 9999, 4294967295])
def test_an_unknown_number_holds_and_never_skips(errno: int):
    for kind in CLASSES:
        assert rule(kind(errno, "message")) is UNKNOWN
    assert UNKNOWN.verdict is Verdict.HOLD


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "reset by peer"),
        BrokenPipeError(32, "broken pipe"),
        TimeoutError("timed out"),
        socket.gaierror(-2, "name or service not known"),
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        ssl.SSLZeroReturnError(6, "closed"),
        pymysql.err.InterfaceError(0, ""),
        pymysql.err.InterfaceError("driver"),
        pymysql.err.InternalError("Packet sequence number wrong"),
        pymysql.err.Error(),
    ],
    ids=repr,
)
def test_sockets_tls_and_the_driver_hold(error: Exception):
    assert rule(error).verdict is Verdict.HOLD


def test_a_socket_error_is_never_taken_for_a_mysql_number():
    """The errno 1062 of an OSError is no duplicate entry."""
    for errno in EXPECTED[Verdict.POISON] | EXPECTED[Verdict.STOP]:
        assert rule(OSError(errno, "message")).verdict is Verdict.HOLD


def test_a_refused_certificate_stops():
    """No retry makes the certificate valid."""
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed: hostname mismatch")
    wrapped = pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'db'")
    wrapped.original_exception = refused

    for error in (refused, wrapped):
        assert rule(error).verdict is Verdict.STOP
        assert "certificate" in rule(error).hint


def test_a_refused_connection_holds():
    """The driver wraps it like a refused certificate."""
    wrapped = pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'db'")
    wrapped.original_exception = ConnectionRefusedError(111, "refused")

    assert rule(wrapped).verdict is Verdict.HOLD


def test_a_database_error_says_what_to_do_and_no_value():
    cause = pymysql.err.OperationalError(1205, "Lock wait timeout on row 'order-4711'")

    error = database_error("applying 3 changes", cause)

    assert type(error) is HoldError
    assert str(error) == f"applying 3 changes: MySQL error 1205: {rule(cause).hint}"
    assert (error.operation, error.errno, error.hint) == ("applying 3 changes", 1205, rule(cause).hint)
    lost = ConnectionResetError()
    assert str(database_error("connecting", lost)) == f"connecting: ConnectionResetError: {rule(lost).hint}"


@pytest.mark.parametrize(("errno", "verdict"), [(2013, Verdict.HOLD), (1146, Verdict.STOP)])
def test_a_database_error_carries_its_verdict(errno: int, verdict: Verdict):
    error = database_error("applying", pymysql.err.OperationalError(errno, "message"))

    assert error.verdict is verdict


def test_a_schema_mismatch_names_every_problem():
    error = SchemaMismatchError("tbl_orders", ["column a is missing", "column b is missing"])

    assert str(error) == "table tbl_orders does not fit the mapping: column a is missing; column b is missing"
    assert error.problems == ["column a is missing", "column b is missing"]
