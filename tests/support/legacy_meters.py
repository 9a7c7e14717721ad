"""A legacy table for the hostile mapping, which has everything at once: see tests/support/meters.py."""

from __future__ import annotations

from typing import Any

from common.mysql import registry, schema
from tests.support import meters
from tests.support.legacy import OUTSIDER, TAKEN, HostileTables, audit, trigger
from tests.support.records import SOURCE, STREAM
from tests.support.tables import Rows
from tests.support.two_mappings import MeterItems

_NEW = meters.NAME.format(row="NEW")
_TAKEN, _DEVICE = meters.key_values(OUTSIDER)
# A surrogate key, a second unique key, a foreign key, a check, an ENUM, a generated column and columns of others.
_HOSTILE = (
    "CREATE TABLE currencies (code VARCHAR(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY)",
    "INSERT INTO currencies VALUES ('INR'), ('EUR')",
    (
        f"ALTER TABLE {meters.TABLE} DROP PRIMARY KEY, ADD COLUMN id INT NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST,"
        " ADD UNIQUE KEY uq_item (device, taken), ADD UNIQUE KEY uq_created (created_at),"
        " MODIFY currency VARCHAR(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,"
        " MODIFY status ENUM('NEW', 'PAID') NOT NULL, MODIFY created_at BIGINT NULL"
    ),
    (
        f"ALTER TABLE {meters.TABLE} ADD CONSTRAINT positive CHECK (amount >= 0),"
        " ADD CONSTRAINT of_currency FOREIGN KEY (currency) REFERENCES currencies (code),"
        " ADD COLUMN caption VARCHAR(90) AS (CONCAT(currency, ' ', HEX(device))) STORED,"
        " ADD COLUMN note VARCHAR(80) NULL, ADD COLUMN seen INT NOT NULL DEFAULT 7"
    ),
    trigger("BEFORE UPDATE", "SET NEW.device = OLD.device, NEW.taken = OLD.taken", meters.TABLE),
    trigger("BEFORE INSERT", f"SET NEW.note = CONCAT('made ', {_NEW})", meters.TABLE),
    *audit(meters.TABLE, meters.NAME),
    (
        f"INSERT INTO {meters.TABLE} (taken, device, amount, currency, status, created_at, updated_at, others,"
        f" is_deleted) VALUES ({_TAKEN}, X'{_DEVICE.hex()}', 1, 'INR', 'NEW', {TAKEN}, 1, '{{}}', 0)"
    ),
)


class HostileMeters(HostileTables):
    target, name = meters.TABLE, meters.NAME.format(row=meters.TABLE)
    label = "caption = CONCAT(currency, ' ', HEX(device))"

    def replace(self) -> None:
        schema.create_missing(self.admin, meters.METERS)
        registry.register(self.admin, meters.METERS, SOURCE, STREAM.label)
        self.run(*_HOSTILE)


class HostileMeterItems(MeterItems):
    """Items of the hostile mapping in the hostile table."""

    tables: HostileMeters

    def rows(self) -> Rows:
        self.tables.assert_outsider_survived()
        found: list[Any] = super().rows()
        return [row for row in found if row["device"] != _DEVICE]

    def clear(self) -> None:
        self.tables.clear()
