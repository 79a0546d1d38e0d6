"""Damages a database that was restored into a sandbox, for a negative control: one row, or one table."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ccdr.engines.mariadb.client import Login, answers, quote_name, quote_text, rows_of
from ccdr.model.damage import Damage, NothingToDamage
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

# What makes another value of one, by the column's type; the second where the first does not fit.
_TEXT = ("LEFT({c}, CHAR_LENGTH({c}) - 1)", "CONCAT({c}, '!')")
_NUMBER = ("{c} + 1", "{c} - 1")
_TIME = ("{c} + INTERVAL 1 DAY",)
_OTHERWISE = {
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), _TEXT),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "decimal"), _NUMBER),
    **dict.fromkeys(("date", "datetime", "timestamp"), _TIME),
}
_TABLES = (
    "SELECT JSON_QUOTE(table_name) FROM information_schema.tables"
    " WHERE table_schema = {of} AND table_type = 'BASE TABLE' ORDER BY 1;"
)
_COLUMNS = (
    "SELECT JSON_ARRAY(column_name, data_type) FROM information_schema.columns WHERE table_schema = {of} AND"
    " table_name = {table} AND generation_expression IS NULL ORDER BY ordinal_position;"
)
# Keys to other tables and other conditions are not asked: it is damage, and no use.
_FREELY = "SET SESSION foreign_key_checks=0, check_constraint_checks=0;\n"


def damage(box: Place, login: Login, database: str, kind: Damage, chance: Random) -> str:
    """The table that it was done to. Each statement says itself whether it has changed a row."""
    tables = [str(name) for name in answers(box, login, _TABLES.format(of=quote_text(database)), "listing tables")]
    chance.shuffle(tables)
    for table in tables:
        name = f"{quote_name(database)}.{quote_name(table)}"
        if kind is Damage.TABLE_DROPPED:
            rows_of(box, login, f"{_FREELY}DROP TABLE {name};", "damaging the copy")
            return table
        asked = _COLUMNS.format(of=quote_text(database), table=quote_text(table))
        columns = [(str(c), str(t)) for c, t in answers(box, login, asked, "listing columns")]
        chance.shuffle(columns)
        if any(_changes(box, login, one) for one in _statements(kind, name, columns, chance)):
            return table
    raise NothingToDamage("no table of the database has a row that could be damaged so")


def _statements(kind: Damage, table: str, columns: list[tuple[str, str]], chance: Random) -> Iterator[str]:
    for name, type_ in columns:
        column, order = quote_name(name), chance.choice(("ASC", "DESC"))
        if kind is Damage.ROW_REMOVED:
            yield f"DELETE FROM {table} ORDER BY {column} {order} LIMIT 1"
            return
        for other in _OTHERWISE.get(type_, ()):
            new = other.format(c=column)
            where = f"{column} IS NOT NULL AND NOT (BINARY ({new}) <=> BINARY {column})"
            yield f"UPDATE {table} SET {column} = {new} WHERE {where} ORDER BY {column} {order} LIMIT 1"


def _changes(box: Place, login: Login, statement: str) -> bool:
    """A value that the column does not take, or that another row has, changes nothing."""
    try:
        told = rows_of(box, login, f"{_FREELY}{statement};\nSELECT ROW_COUNT();", "damaging the copy")
        return told == [["1"]]
    except CommandFailed as error:
        if error.stalled:
            raise
        return False
