"""What a program said, and the little of it that may be recorded.

A program's own words may quote a customer's row (`Failing row contains (…)`), a recording's name or a password's hash.
So they are a type of their own, `FreeText`, which has no text when it is put into a sentence. What a sentence may hold
is the `answer`: one of the closed list below, an error number or an SQLSTATE. Whoever needs the words finds them on the
terminal, and in a private file of the state directory.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

KEPT = 16_384  # characters of one program's words that are kept

# As psql and mariadb tell it: with VERBOSITY=verbose, and always.
_SQLSTATE = re.compile(r"\b(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}):|^ERROR \d+ \(([0-9A-Z]{5})\)", re.MULTILINE)
_MARIADB = re.compile(r"^ERROR (\d{3,5}) \(|(?:Got error|Error): ?(\d{3,5}):|\berrno:? (\d{1,5})\b", re.MULTILINE)

# PostgreSQL's tools print no SQLSTATE: what they say begins so, in English (LC_ALL=C.UTF-8). Appendix A has the names.
_POSTGRES = (
    ("duplicate key value violates unique constraint", "unique_violation", "23505"),
    ("violates foreign key constraint", "foreign_key_violation", "23503"),
    ("violates check constraint", "check_violation", "23514"),
    ("violates not-null constraint", "not_null_violation", "23502"),
    ("conflicting key value violates exclusion constraint", "exclusion_violation", "23P01"),
    ("invalid input syntax for", "invalid_text_representation", "22P02"),
    ("invalid input value for", "invalid_text_representation", "22P02"),
    ("value too long for type", "string_data_right_truncation", "22001"),
    ("out of range", "numeric_value_out_of_range", "22003"),
    ("invalid byte sequence for encoding", "character_not_in_repertoire", "22021"),
    ("has no equivalent in encoding", "untranslatable_character", "22P05"),
    ("division by zero", "division_by_zero", "22012"),
    ("missing data for column", "bad_copy_file_format", "22P04"),
    ("extra data after last expected column", "bad_copy_file_format", "22P04"),
    ("password authentication failed", "invalid_password", "28P01"),
    ("no pg_hba.conf entry", "invalid_authorization_specification", "28000"),
    ("permission denied for", "insufficient_privilege", "42501"),
    ("must be owner of", "insufficient_privilege", "42501"),
    ("must be superuser", "insufficient_privilege", "42501"),
    ("statement timeout", "query_canceled by a statement timeout", "57014"),
    ("lock timeout", "lock_not_available", "55P03"),
    ("could not obtain lock", "lock_not_available", "55P03"),
    ("deadlock detected", "deadlock_detected", "40P01"),
    ("could not serialize access", "serialization_failure", "40001"),
    ("remaining connection slots", "too_many_connections", "53300"),
    ("too many clients", "too_many_connections", "53300"),
    ("the database system is", "cannot_connect_now", "57P03"),
    ("terminating connection due to", "admin_shutdown", "57P01"),
    ("server closed the connection", "connection_failure", "08006"),
    ("invalid page in block", "data_corrupted", "XX001"),
    ("missing chunk number", "data_corrupted", "XX001"),
    ("cache lookup failed", "internal_error", "XX000"),
    ("syntax error at", "syntax_error", "42601"),
)
# Names of numbers that people meet; appendix A of PostgreSQL's manual, and MariaDB's list of error codes, have all.
_STATES = {state: name for _, name, state in _POSTGRES} | {
    "22007": "invalid_datetime_format",
    "25006": "read_only_sql_transaction",
    "42703": "undefined_column",
    "42883": "undefined_function",
    "42P01": "undefined_table",
    "42704": "undefined_object",
    "57014": "query_canceled",
    "P0001": "raise_exception",
}
_NUMBERS = {
    "1032": "a row is not there",
    "1044": "access denied to the database",
    "1045": "access denied",
    "1049": "unknown database",
    "1054": "unknown column",
    "1062": "duplicate entry",
    "1064": "syntax error",
    "1142": "access denied to a table",
    "1146": "no such table",
    "1205": "lock wait timeout",
    "1213": "deadlock",
    "1227": "access denied: a privilege is missing",
    "1305": "no such routine",
    "1356": "a view refers to what is not there",
    "1366": "incorrect value",
    "1406": "data too long",
    "1451": "a foreign key is violated",
    "1452": "a foreign key is violated",
    "1644": "a trigger or routine raised an error",
    "1698": "access denied",
    "2002": "cannot connect by the socket",
    "2003": "cannot connect",
    "2006": "the server has gone away",
    "2013": "the connection was lost",
    "4025": "a CHECK is violated",
    "4112": "a row's history ends before it begins",
}
# What is missing, or is there already: the kind of object alone.
_KINDS = r"\b(role|database|schema|extension|collation|tablespace|relation|type|function)\b[^\n]* "
_WITH_NAMES = (
    (re.compile(f"{_KINDS}does not exist"), "{} does not exist"),
    (re.compile(f"{_KINDS}already exists"), "{} already exists"),
)

_QUOTED = re.compile(
    r"""\"([^"\n]{1,128})\"|'([^'\n]{1,128})'|`([^`\n]{1,128})`|"""
    r"""\b(?:TABLE|VIEW|TRIGGER|FUNCTION|INDEX|function) ([\w.$]{1,128})"""
)
# What a terminal takes for a command: a caller's name may hold it.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# What a program of PostgreSQL's or MariaDB's fails of: behind its own framing, and its server's.
_ERROR = re.compile(
    r"^(?:[\w./-]+(?:(?::<stdin>|:[\w./-]+):\d+)?: )?"
    r"(?:(?:error: (?:[^\n]*?(?=(?:ERROR|FATAL|PANIC):  ))?)?(?:(?:ERROR|FATAL|PANIC):\s+(?:[0-9A-Z]{5}: )?)|error: |"
    r"ERROR \d+ \([0-9A-Z]{5}\)[^:\n]*: (?:'[^'\n]*': )?|Error: ?\d+, |Got error: ?\d+: \"?|(?=unknown variable ))"
    r"(?P<message>[^\n]*)",
    re.MULTILINE,
)
# What the client of a database says where nobody is at the address that it was given.
_NOBODY = re.compile(
    r'connection to server (?:at|on socket) "[^"\n]*"[^\n]{0,80} failed: '
    r"(?:No such file or directory|Connection refused|No route to host|Connection timed out|timeout expired|"
    r"Network is unreachable|Host is down)"
    r'|could not translate host name "|^ERROR 200[235] \(|(?:Got error|Error): ?200[235]:|'
    r"Could not connect to Redis at ",
    re.MULTILINE,
)
# And where its server answers, and has none of the name that it was asked for.
_NO_DATABASE = re.compile(
    r'FATAL:\s+(?:3D000: )?database "[^"\n]*" does not exist|^ERROR 1049 \(|(?:Got error|Error): ?1049:', re.MULTILINE
)
# Words of programs written in Go (restic, Docker), of shells, of TLS, and of those below that name no number.
_OTHERS = (
    ("is not available", "an extension is not there"),
    ("could not open extension control file", "an extension is not there"),
    ("could not access file", "a library is not there"),
    ("could not load library", "a library is not there"),
    ("Can't open shared library", "a library is not there"),
    ("/tsearch_data/", "a file of words for text search is not there"),
    ("could not find function", "a library lacks a function"),
    ("could not open collator", "a locale is not there"),
    ("locale name", "a locale is not there"),
    ("could not create locale", "a locale is not there"),
    ("database locale is incompatible", "a locale is not there"),
    (' for encoding "', "a collation is not there"),
    ("in file header", "the file is of a newer version"),
    ("unrecognized configuration parameter", "a setting is unknown"),
    ("unknown variable", "a setting is unknown"),
    ("invalid value for parameter", "a setting's value is not valid"),
    ("files are incompatible with server", "the files are of another version"),
    ("Unknown storage engine", "a storage engine is not there"),
    ("is not loaded", "a plugin is not there"),
    ("Unknown collation", "a collation is not there"),
    ("Unknown character set", "a character set is not there"),
    ("Unknown data type", "a data type is not there"),
    ("no such module", "a module is not there"),
    ("no such collation", "a collation is not there"),
    ("tokenizer", "a tokenizer is not there"),
    ("such function", "a function is not there"),
    ("unknown function", "a function is not there"),
    ("no such table", "a table is not there"),
    ("no such column", "a column is not there"),
    ("unsupported file format", "the file is of a newer version"),
    ("WAL ends before", "the log ends before the copy is consistent"),
    ("checkpoint record", "the checkpoint's record is not valid"),
    ("incorrect checksum in control file", "the control file's checksum does not match"),
    ("could not locate", "a record that it needs is not there"),
    ("could not find", "a record that it needs is not there"),
    ("does not contain minimum recovery point", "the timeline does not lead there"),
    ("references to invalid pages", "the log refers to pages that are not there"),
    ("resource manager data", "the log's data is not valid"),
    ("WAL summar", "the log's summaries do not lead on from the base"),
    ("system identifier", "it is of another server"),
    ("found in manifest", "the manifest does not lead on"),
    ("backup manifest", "the manifest is not taken"),
    ("upload manifest", "the manifest is not taken"),
    ("is active for PID", "another receiver has the replication slot"),
    ("circular foreign-key", "foreign keys form a circle"),
    ("REFRESH MATERIALIZED VIEW", "a materialised view cannot be refreshed"),
    ("COPY failed for table", "rows do not load"),
    ("malformed JSON", "the JSON is malformed"),
    ("appears to be invalid", "an owner is not there"),
    ("connection refused", "connection refused"),
    ("no such host", "no such host"),
    ("Name or service not known", "no such host"),
    ("could not translate host name", "no such host"),
    ("i/o timeout", "timed out"),
    ("deadline exceeded", "timed out"),
    ("timeout expired", "timed out"),
    ("connection reset", "connection reset"),
    ("broken pipe", "broken pipe"),
    ("network is unreachable", "network is unreachable"),
    ("does not match host name", "the TLS certificate is of another host"),
    ("x509:", "the TLS certificate is not accepted"),
    ("certificate verify failed", "the TLS certificate is not accepted"),
    ("wrong password", "no key opens with that password"),
    ("no key found", "no key opens with that password"),
    ("Access Denied", "access denied"),
    ("AccessDenied", "access denied"),
    ("NoSuchBucket", "no such bucket"),
    ("bucket does not exist", "no such bucket"),
    ("SignatureDoesNotMatch", "the secret key is wrong"),
    ("InvalidAccessKeyId", "the access key is unknown"),
    ("SlowDown", "the store asks for fewer requests"),
    ("already locked", "the repository is locked"),
    ("ciphertext verification failed", "data does not decrypt"),
    ("has invalid checksum", "checksum does not match"),
    ("hash mismatch", "checksum does not match"),
    ("checksum", "checksum does not match"),
    ("invalid data returned", "data is not what its name says"),
    ("unexpected EOF", "unexpected end"),
    ("unexpected end", "unexpected end"),
    ("truncated", "unexpected end"),
    ("executable file not found", "no such program"),
    ("command not found", "no such program"),
    (": not found", "no such program"),
    ("No such image", "no such image"),
    ("unable to find user", "the image has no such user"),
    ("manifest unknown", "no such image"),
    ("pull access denied", "the registry refuses the image"),
    ("NOAUTH", "the server asks for a password (NOAUTH)"),
    ("WRONGPASS", "invalid password (WRONGPASS)"),
    ("NOPERM", "the user has no right to that (NOPERM)"),
    ("MISCONF", "the server refuses writes: it cannot save"),
    ("LOADING", "the server is still loading"),
    ("database disk image is malformed", "the database is malformed"),
    ("file is not a database", "it is no database"),
    ("database is locked", "the database is locked"),
    ("constraint failed", "a constraint failed"),
    ("out of memory", "out of memory"),
    ("Out of memory", "out of memory"),
)
# The system's own words; of numbers out of a range, databases speak in words of their own.
_SYSTEM = tuple(os.strerror(number).lower() for number in errno.errorcode if number not in (errno.EDOM, errno.ERANGE))


@dataclass(frozen=True)
class FreeText:
    """A program's own words: they may be searched, and shown to a person at a terminal. In a sentence they are left
    out. `reveal` is for who parses them into values of our own, the terminal and the private file: nobody else's."""

    _text: str = field(default="", repr=False)

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return "…"

    def __bool__(self) -> bool:
        return bool(self._text.strip())

    def __contains__(self, words: str) -> bool:
        return words in self._text

    def __add__(self, other: FreeText) -> FreeText:
        return FreeText("\n".join(text.rstrip("\n") for text in (self._text, other._text) if text.strip()))

    def search(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        return re.search(pattern, self._text)

    @property
    def errors(self) -> FreeText:
        """What the line that tells the error says, alone. What follows it may quote a row (DETAIL, CONTEXT, HINT, the
        statement), and a row may hold a line that reads like an error: so it is the first that counts."""
        match = _ERROR.search(self._text)
        return FreeText(match["message"]) if match else FreeText()

    def begins(self, pattern: re.Pattern[str]) -> bool:
        """With what the pattern stands for: further on, a message may quote a value."""
        return pattern.match(self._text) is not None

    def tail(self, characters: int = KEPT) -> FreeText:
        return FreeText(self._text[-characters:])

    def reveal(self) -> str:
        return self._text

    @property
    def shown(self) -> str:
        """For a terminal, or a file that somebody will look at in one: control characters as `\\x1b`."""
        return visible(self._text)

    @property
    def nobody_answers(self) -> bool:
        """Does a database's client say that there is no server where it was to be?"""
        return _NOBODY.search(self._text) is not None

    @property
    def no_database(self) -> bool:
        """Does its server say that the database is not there?"""
        return _NO_DATABASE.search(self._text) is not None

    @property
    def answer(self) -> str | None:
        """What of it may be recorded: error numbers, and words of ours for what it says; None where none are known."""
        return "; ".join(dict.fromkeys(_answers(self._text))) or None


NO_WORDS = FreeText()


def visible(text: str) -> str:
    """The text, with nothing in it that a terminal would carry out."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text.replace("\r\n", "\n"))


def _answers(text: str) -> Iterator[str]:
    """The first of each kind that is told: the number that a database gives, else what it begins with."""
    state = _SQLSTATE.search(text)
    number = _MARIADB.search(text)
    if number is not None:
        code = str(number[1] or number[2] or number[3])
        yield f"{_NUMBERS[code]} (error {code})" if code in _NUMBERS else f"error {code}"
    if state is not None:
        code = str(state[1] or state[2])
        name = _STATES.get(code) if number is None else None
        yield f"{name} (SQLSTATE {code})" if name else f"SQLSTATE {code}"
    if state is None and number is None:
        yield from _postgres(text)
    lowered = text.lower()
    causes = [words for sign, words in _OTHERS if sign in text] or [sign for sign in _SYSTEM if sign in lowered]
    yield from causes[:2]


def _postgres(text: str) -> Iterator[str]:
    for words, name, state in _POSTGRES:
        if words in text:
            yield f"{name} (SQLSTATE {state})"
            return
    for pattern, shown in _WITH_NAMES:
        if (match := pattern.search(text)) is not None:
            yield shown.format(match[1])
            return


def lacking(words: FreeText, names: Iterable[str] = ()) -> str:
    """What a server or an image has not, that somebody needs: the answer, and which of the `names` (of objects that a
    manifest lists) the words name."""
    return (words.answer or "see what it says") + "".join(f", {name}" for name in named(words, names))


def at(words: FreeText, names: Iterable[str]) -> str:
    """Which of the objects it was about, to be put behind an answer; empty where the words name none of them."""
    objects = named(words, names)
    return f", at {', '.join(objects)}" if objects else ""


def named(words: FreeText, names: Iterable[str], most: int = 3) -> list[str]:
    """Those of the `names` that the words quote. Only what is known to be an object's name is taken from them."""
    known = set(names)
    quoted = (part for match in _QUOTED.finditer(words.reveal()) for name in match.groups() if name for part in
              (name, name.rpartition(".")[2]))  # fmt: skip
    return [name for name in dict.fromkeys(quoted) if name in known][:most]


def names_in(contents: object) -> Iterator[str]:
    """The names in a manifest's contents: of tables, columns, roles, settings and files. It holds no row."""
    if isinstance(contents, str):
        yield contents
        for part in re.split(r"[. ]", contents):
            yield part.strip('"`')
    elif isinstance(contents, Mapping):
        for key, value in contents.items():
            yield from names_in(key)
            yield from names_in(value)
    elif isinstance(contents, list | tuple):
        for value in contents:
            yield from names_in(value)


def words_of(error: BaseException | None) -> FreeText:
    """All that programs said on the way to this error, in the order in which it was said, whoever worded it anew."""
    texts: list[FreeText] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        words = getattr(error, "words", None)
        if isinstance(words, FreeText):
            texts.insert(0, words)
        elif not hasattr(error, "exit_code"):  # none of ours: a library's, and what that says is anybody's
            more = getattr(error, "explanation", None) or ""
            texts.insert(0, FreeText(f"{type(error).__name__}: {error} {more}".rstrip()))
        error = error.__cause__ or error.__context__
    whole = FreeText()
    for words in texts:
        if words.reveal().strip() not in whole.reveal():
            whole += words
    return whole.tail()
