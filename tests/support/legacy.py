"""Legacy shapes of the target, as DDL. A database that grew over years may look like each of them."""

from __future__ import annotations

from scripts.local_stack.database import Account
from tests.support.tables import Rows, Tables
from tests.support.writes import ORDER

MAPPED = ", ".join(column.name for column in ORDER.columns)

_COLUMNS = {
    "merchant_id": "VARCHAR(64) NOT NULL",
    "amount": "DECIMAL(19,4) NOT NULL",
    "currency": "VARCHAR(3) NOT NULL",
    "status": "VARCHAR(32) NOT NULL",
    "created_at": "BIGINT NOT NULL",
    "updated_at": "BIGINT NOT NULL",
}
_ENGINE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"


def orders_table(
    *more: str, id_type: str = "", key: str = "CHARACTER SET ascii COLLATE ascii_bin", **columns: str
) -> str:
    """CREATE TABLE tbl_orders. `more` are further columns and keys; `columns` replace mapped ones.

    With `id_type`, the primary key is a surrogate `id` of that type and order_id has a unique key.
    """
    mapped = [f"{name} {kind}" for name, kind in (_COLUMNS | columns).items()]
    surrogate = [f"id {id_type} NOT NULL AUTO_INCREMENT PRIMARY KEY"] if id_type else []
    unique = "UNIQUE KEY uq_order (order_id)" if id_type else "PRIMARY KEY (order_id)"
    parts = [*surrogate, f"order_id VARCHAR(64) {key} NOT NULL", *mapped, unique, *more]
    return f"CREATE TABLE tbl_orders ({', '.join(parts)}) {_ENGINE}"


def trigger(when: str, body: str, table: str = "tbl_orders") -> str:
    """A trigger on the target; `when` is for example BEFORE UPDATE."""
    return f"CREATE TRIGGER {when.replace(' ', '_').lower()} {when} ON {table} FOR EACH ROW {body}"


def signal(condition: str, errno: int | None = None) -> str:
    """The body of a trigger that refuses rows for which `condition` holds."""
    number = f", MYSQL_ERRNO = {errno}" if errno else ""
    return f"IF {condition} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'{number}; END IF"


def mapped_orders(tables: Tables) -> Rows:
    """The target's rows as the mapping sees them, in the order of the exact keys."""
    return sorted(tables.run(f"SELECT {MAPPED} FROM tbl_orders"))


# Key columns by character set: an exact and a case-folding collation of each.
KEY_CHARSETS = {
    f"{charset} {collation}": f"CHARACTER SET {charset} COLLATE {charset}_{collation}"
    for charset in ("ucs2", "utf16", "utf32", "latin1", "utf8mb3", "ascii")
    for collation in ("bin", "general_ci")
}

MERCHANTS = (
    f"CREATE TABLE merchants (id VARCHAR(64) NOT NULL PRIMARY KEY) {_ENGINE}",
    "INSERT INTO merchants VALUES ('merchant-102')",
)
MERCHANT_KEY = "FOREIGN KEY (merchant_id) REFERENCES merchants (id)"

# Its unique created_at is taken; nobody's change may touch this row.
OUTSIDER = "outsider"
TAKEN = 1_000


def audit(table: str, name: str) -> tuple[str, ...]:
    """A table of all that happens to the rows of `table`; `name` is SQL of the name of the item of `{row}`."""
    return (
        (
            "CREATE TABLE audit (id BIGINT AUTO_INCREMENT PRIMARY KEY, event VARCHAR(6) NOT NULL,"
            " name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL) ENGINE=InnoDB"
        ),
        *(
            trigger(
                f"AFTER {event}",
                f"INSERT INTO audit (event, name) VALUES ('{event.lower()}', {name.format(row=row)})",
                table,
            )
            for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
        ),
    )


HOSTILE = (
    *MERCHANTS,
    orders_table(
        "UNIQUE KEY uq_created (created_at)",
        MERCHANT_KEY,
        "CONSTRAINT positive CHECK (amount >= 0)",
        "label VARCHAR(80) AS (CONCAT(currency, ' ', merchant_id)) STORED",
        "note VARCHAR(80) NULL",
        "seen INT NOT NULL DEFAULT 7",
        id_type="INT",
        key="CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci",
        status="ENUM('NEW', 'PAID') NOT NULL",
        created_at="BIGINT NULL",
    ),
    trigger("BEFORE UPDATE", "SET NEW.order_id = OLD.order_id"),
    trigger("BEFORE INSERT", "SET NEW.note = CONCAT('made ', NEW.order_id)"),
    *audit("tbl_orders", "{row}.order_id"),
    f"INSERT INTO tbl_orders ({MAPPED}) VALUES ('{OUTSIDER}', 'merchant-102', 1, 'INR', 'NEW', {TAKEN}, 1)",
)

LEAST = "backstream_least"


class HostileTables(Tables):
    """The hostile table in place of the plain one; the outsider's row is checked whenever the rows are read."""

    target, name = "tbl_orders", "order_id"  # `name` is SQL of the name of a row's item
    label = "label = CONCAT(currency, ' ', merchant_id)"  # what the generated column has

    def build(self) -> None:
        self.replace()
        self._outsider = self._outsiders()

    def replace(self) -> None:
        self.run("DROP TABLE tbl_orders", *HOSTILE)

    def account(self, password: str) -> Account:
        """An account that may write the target and the sidecar and nothing else."""
        self.run(
            f"DROP USER IF EXISTS '{LEAST}'@'%'",
            f"CREATE USER '{LEAST}'@'%' IDENTIFIED BY '{password}'",
            *(
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO '{LEAST}'@'%'"
                for table in (self.target, "replication_versions", "replication_sources")
            ),
        )
        return Account(LEAST, password)

    def _outsiders(self) -> Rows:
        return self.run(f"SELECT * FROM {self.target} WHERE {self.name} = '{OUTSIDER}'")

    def clear(self) -> None:
        self.run(
            f"DELETE FROM {self.target} WHERE {self.name} <> '{OUTSIDER}'",
            "DELETE FROM replication_versions",
            "DELETE FROM audit",
        )

    def orders(self) -> Rows:
        self.assert_outsider_survived()
        return [row for row in mapped_orders(self) if row[0] != OUTSIDER]

    def assert_outsider_survived(self) -> None:
        assert self._outsiders() in ([], self._outsider), "a row that no change is for was changed"

    def assert_legacy_values_survived(self) -> None:
        """A row keeps what others wrote to it. It is inserted only where there was none.

        A writer that replaces rows breaks both.
        """
        changed = self.run(
            f"SELECT {self.name} FROM {self.target} WHERE {self.name} <> '{OUTSIDER}' AND NOT (seen = 7"
            f" AND note = CONCAT('made ', {self.name}) AND {self.label})"
        )
        assert changed == []
        lives: dict[str, bool] = {}
        for event, key in self.run("SELECT event, name FROM audit ORDER BY id"):
            assert lives.get(key, False) == (event != "insert"), f"{event} of {key}"
            lives[key] = event != "delete"
