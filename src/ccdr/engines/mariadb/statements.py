"""What the log holds as a statement, and whether it does the same when it is run again.

What is not known to be harmless is in doubt. Of the definitions of tables these are: one that takes its rows from a
query or from files; a column that is added with a default that depends on when, where or by whom it is computed
(measured: a default that an existing column is given changes no row; the time is none of these, the log sets it); and
what depends on the order in which rows lie, since those of a table without a key lie in the order in which sessions
wrote them, and the log has that of their commits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise, takewhile

STATEMENT = "a statement"
_FROM_QUERY = "a CREATE TABLE … SELECT that is logged as one statement"
_FILLS = "an ALTER TABLE that adds a column whose default {}"
_NUMBERS = "an ALTER TABLE that numbers rows in the order in which they lie"
_CHOOSES = "an ALTER IGNORE TABLE that keeps of equal rows the one that lies first"
_IMPORTS = "an ALTER TABLE that takes its rows from files"
_LOCAL = "an ALTER TABLE that may turn times into others by the time zone of the source's system"
_OF_WHOM = "about the user who ran it (CURRENT_USER), whom the log does not tell"
HALF_WAY = "a statement that ended in an error half-way"
IN_PHASES = "an ALTER TABLE in two phases, whose text is not told (binlog_alter_two_phase)"

_NO_BACKSLASH_ESCAPES, _ANSI_QUOTES = 1 << 20, 4  # of sql_mode, as the log tells it
_WIDE = {"big5", "cp932", "gbk", "sjis"}  # a backslash may be the half of a character
_DEFINED = (
    "CATALOG DATABASE EVENT FUNCTION INDEX PACKAGE PROCEDURE ROLE SCHEMA SEQUENCE SERVER TABLE TABLESPACE TEMPORARY "
    "TRIGGER USER VIEW"
)
_KINDS = frozenset(_DEFINED.split())
_HARMLESS = re.compile(
    r"(DROP|RENAME|TRUNCATE|GRANT|REVOKE|FLUSH|INSTALL|UNINSTALL|SET PASSWORD|SET DEFAULT ROLE) .+"
    r"|(ANALYZE|OPTIMIZE|REPAIR) (LOCAL |NO_WRITE_TO_BINLOG )?(TABLE|TABLES|VIEW) .+"
    r"|DELETE FROM ` \. `"  # so the server logs that a MEMORY table began empty: all rows go
)
_DEPENDING = (
    "BENCHMARK BINLOG_GTID_POS CONNECTION_ID CURRENT_ROLE CURRENT_USER ENCRYPT FOUND_ROWS GET_LOCK IS_FREE_LOCK "
    "IS_USED_LOCK LAST_INSERT_ID LASTVAL LOAD_FILE MASTER_GTID_WAIT MASTER_POS_WAIT NEXTVAL RAND RANDOM_BYTES "
    "RELEASE_ALL_LOCKS RELEASE_LOCK ROW_COUNT SESSION_USER SETVAL SLEEP SYS_GUID SYSDATE SYSTEM_USER USER UUID "
    "UUID_SHORT UUID_V4 UUID_V7 VERSION"
)
_CALLS = frozenset(_DEPENDING.split())
_BARE = {"CURRENT_ROLE", "CURRENT_USER"}  # need no brackets
_NOW = {"NOW", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"}
_OF_ZONE = {*_NOW, "CURDATE", "CURRENT_DATE", "CURTIME", "CURRENT_TIME", "FROM_UNIXTIME", "UNIX_TIMESTAMP"}
_NAMING = "ADD COLUMN EXISTS MODIFY CHANGE ALTER DROP AFTER TO INDEX KEY UNIQUE CONSTRAINT BY ( , ."
_BEFORE_NAMES = frozenset(_NAMING.split())


def doubt(text: str, sql_mode: int = 0, charset: str = "", *, local: bool = False) -> str | None:
    """What it is, in words that quote nothing of it; None where it does the same again. `local`: its session may have
    been in the time zone of the source's system, which nobody knows here."""
    if charset in _WIDE and re.search(r"[^\x00-\x7f]\\", text):
        return STATEMENT
    # What a comment for some servers holds is run by those alone: either way it has to be harmless.
    for run in (True, False):
        words = _words(text, sql_mode, run)
        problem = STATEMENT if words is None else _doubt(words, local=local)
        if problem:
            return problem
    return None


def _token(backslash: bool) -> re.Pattern[str]:
    def quoted(mark: str) -> str:
        return (
            rf"{mark}(?:[^{mark}\\]|\\.|{mark}{mark})*+{mark}"
            if backslash
            else rf"{mark}(?:[^{mark}]|{mark}{mark})*+{mark}"
        )

    return re.compile(
        rf"(?P<open>/\*M?!\d*)|(?P<close>\*/)|(?P<skip>\s+|/\*.*?\*/|--(?=[\s\x00]|\Z)[^\n]*|\#[^\n]*)"
        rf"|(?P<single>{quoted(chr(39))})|(?P<double>{quoted(chr(34))})|(?P<name>`(?:[^`]|``)*+`)"
        r"|(?P<word>[0-9A-Za-z_$\x80-\U0010ffff]+)|(?P<other>(?!/\*)[^'\"`])",
        re.DOTALL,
    )


_TOKENS = {backslash: _token(backslash) for backslash in (True, False)}


def _words(text: str, sql_mode: int, run: bool) -> list[str] | None:
    """In capitals, a quoted name behind a backquote, a string as one quote; without comments. None where it cannot be
    read."""
    token = _TOKENS[not sql_mode & _NO_BACKSLASH_ESCAPES]
    words: list[str] = []
    at = depth = 0
    while at < len(text):
        match = token.match(text, at)
        if match is None:
            return None
        at, kind, word = match.end(), match.lastgroup, match[0]
        if kind == "open":
            depth += 1
        elif kind == "close" and depth:
            depth -= 1
        elif kind == "skip" or (depth and not run):
            continue
        elif kind == "name" or (kind == "double" and sql_mode & _ANSI_QUOTES):
            words.append(f"`{word[1:-1].upper()}")
        else:
            words.append("'" if kind in ("single", "double") else word.upper())
    return None if depth else words


def _doubt(words: list[str], *, local: bool) -> str | None:
    while words and words[-1] == ";":
        words.pop()
    if not words:
        return None
    if words[:2] == ["SET", "STATEMENT"] and "FOR" in words:
        rest = words[words.index("FOR") + 1 :]
        return _doubt(rest, local=local) if rest else STATEMENT
    if words[0] in ("GRANT", "REVOKE", "SET", "ALTER", "DROP") and _about_users(words) and not _BARE.isdisjoint(words):
        return _OF_WHOM
    if _HARMLESS.fullmatch(" ".join(word[0] if word[0] == "`" else word for word in words)):
        return None
    kind = next((word for word in words if word in _KINDS), None)
    if words[0] not in ("CREATE", "ALTER") or kind is None:
        return STATEMENT
    if kind != "TABLE":
        return None
    if words[0] == "ALTER":
        return _altered(words, local=local)
    keys = [word for before, word in zip(["", *words], words, strict=False) if before != "."]
    return _FROM_QUERY if "SELECT" in keys or re.search(r"\bVALUES \(", " ".join(keys)) else None


def _about_users(words: list[str]) -> bool:
    return words[0] in ("GRANT", "REVOKE", "SET") or words[1:2] in (["USER"], ["ROLE"])


def _altered(words: list[str], *, local: bool) -> str | None:
    """An ALTER TABLE."""
    if "IGNORE" in words[: words.index("TABLE")]:
        return _CHOOSES
    pairs = list(pairwise([*words, ""]))
    if any(word == "IMPORT" and after in ("TABLESPACE", "PARTITION") for word, after in pairs):
        return _IMPORTS
    # Not the table's own AUTO_INCREMENT = 5, nor a column that is called serial.
    if any(
        (word == "AUTO_INCREMENT" and after != "=" and not after.isdigit())
        or (after == "SERIAL" and word not in _BEFORE_NAMES)
        for word, after in pairs
    ):
        return _NUMBERS
    for clause, at in _defaults(words):
        if clause not in ("CHANGE", "MODIFY") and (why := _depends_on(_own(words[at + 1 :]))):
            return _FILLS.format(why)
    return _LOCAL if local and _by_zone(words) else None


def _defaults(words: list[str]) -> Iterator[tuple[str, int]]:
    """Where an ALTER TABLE says of a column what its default is, and what it does to that column."""
    for clause, at in _clauses(words):
        if words[at] == "DEFAULT" and words[at - 1] not in (".", "SET"):
            yield clause, at


def _clauses(words: list[str]) -> Iterator[tuple[str, int]]:
    """Each word's place, and what the clause does that it stands in."""
    depth, clause = 0, ""
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word in ("ADD", "ALTER", "CHANGE", "MODIFY") and at and (not clause or words[at - 1] == ","):
            clause = word
        yield clause, at


def _by_zone(words: list[str]) -> bool:
    """May it turn a column's times into others, or fill one in? A TIMESTAMP of now is the same moment everywhere."""
    for clause, at in _clauses(words):
        stored = words[at] in ("STORED", "PERSISTENT") and words[at - 1] == ")"  # a generated column
        if clause in ("CHANGE", "MODIFY") or (clause == "ADD" and stored):
            return True
    for _, at in _defaults(words):
        own = _own(words[at + 1 :])
        if "TIMESTAMP" in takewhile(lambda word: word not in (",", "ADD", "COLUMN"), reversed(words[:at])):
            if own and own[0] not in (*_NOW, "NULL"):
                return True
        elif any(word in _OF_ZONE for word in own):
            return True
    return False


def _own(words: list[str]) -> list[str]:
    """What belongs to a default, which ends with its column."""
    depth = 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word == ","):
            return words[:at]
    return words


def _depends_on(own: list[str]) -> str | None:
    """What a default depends on."""
    for before, word, after in zip(["DEFAULT", *own], own, [*own[1:], ""], strict=False):
        name = word.removeprefix("`")
        if word == "@":
            return "reads a variable"
        if before in (".", "REFERENCES") and name != "NEXTVAL":
            continue
        if word in _BARE or (name in _CALLS and (after == "(" or before == ".")):
            return f"calls {name.lower()}()"
        if word == "DEFAULT" and after == "(":
            return "is another column's"
        if (word, after) in (("NEXT", "VALUE"), ("PREVIOUS", "VALUE")):
            return "reads a sequence"
    return None
