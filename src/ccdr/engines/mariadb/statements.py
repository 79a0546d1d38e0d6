"""What the log holds as a statement, and whether it does the same when it is run again.

What is not known to be harmless is in doubt. Of the definitions of tables two kinds are: one that takes its rows from a
query, and a column that is added with a default that depends on when, where or by whom it is computed (measured: a
default that an existing column is given changes no row). The time is none of these: the log sets it.
"""

from __future__ import annotations

import re

STATEMENT = "a statement"
_FROM_QUERY = "a CREATE TABLE … SELECT that is logged as one statement"
_FILLS = "an ALTER TABLE that adds a column whose default {}"

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


def doubt(text: str, sql_mode: int = 0, charset: str = "") -> str | None:
    """What it is, in words that quote nothing of it; None where it does the same again."""
    if charset in _WIDE and re.search(r"[^\x00-\x7f]\\", text):
        return STATEMENT
    # What a comment for some servers holds is run by those alone: either way it has to be harmless.
    for run in (True, False):
        words = _words(text, sql_mode, run)
        found = STATEMENT if words is None else _doubt(words)
        if found:
            return found
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
        found = token.match(text, at)
        if found is None:
            return None
        at, kind, said = found.end(), found.lastgroup, found[0]
        if kind == "open":
            depth += 1
        elif kind == "close" and depth:
            depth -= 1
        elif kind == "skip" or (depth and not run):
            continue
        elif kind == "name" or (kind == "double" and sql_mode & _ANSI_QUOTES):
            words.append(f"`{said[1:-1].upper()}")
        else:
            words.append("'" if kind in ("single", "double") else said.upper())
    return None if depth else words


def _doubt(words: list[str]) -> str | None:
    while words and words[-1] == ";":
        words.pop()
    if not words:
        return None
    if words[:2] == ["SET", "STATEMENT"] and "FOR" in words:
        return _doubt(words[words.index("FOR") + 1 :]) if words[-1] != "FOR" else STATEMENT
    if _HARMLESS.fullmatch(" ".join(word[0] if word[0] == "`" else word for word in words)):
        return None
    kind = next((word for word in words if word in _KINDS), None)
    if words[0] not in ("CREATE", "ALTER") or kind is None:
        return STATEMENT
    if kind != "TABLE":
        return None
    if words[0] == "ALTER":
        why = _filled_by(words)
        return _FILLS.format(why) if why else None
    keys = [word for before, word in zip(["", *words], words, strict=False) if before != "."]
    return _FROM_QUERY if "SELECT" in keys or re.search(r"\bVALUES \(", " ".join(keys)) else None


def _filled_by(words: list[str]) -> str | None:
    """What the default of a column that an ALTER TABLE adds depends on."""
    depth, clause = 0, ""
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        before = words[at - 1] if at else ""
        if depth == 0 and word in ("ADD", "ALTER", "CHANGE", "MODIFY") and at and (not clause or before == ","):
            clause = word
        if word == "DEFAULT" and before not in (".", "SET") and clause not in ("CHANGE", "MODIFY"):
            why = _depends_on(words[at:])
            if why:
                return why
    return None


def _depends_on(words: list[str]) -> str | None:
    """`words` begin with DEFAULT; what belongs to it ends with the column."""
    depth = 0
    for before, word, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word == ","):
            return None
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
