"""What a program said is a type of its own: nothing of it comes into a sentence but what is on a closed list."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID

import ccdr
from ccdr.engines.postgres.questions import LACKS, lacks
from ccdr.engines.servers.methods import unloadable
from ccdr.model.answers import NO_WORDS, FreeText, at, lacking, names_in, words_of
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken, failure_of
from ccdr.model.values import Manifest

ROW = "Failing row contains (1, Ionescu, 0722000001)."


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (f'ERROR:  23514: new row for relation "customer" violates check constraint "c"\nDETAIL:  {ROW}',
         "check_violation (SQLSTATE 23514)"),
        ('pg_restore: error: COPY failed for table "customer": ERROR:  duplicate key value violates unique constraint'
         ' "customer_phone"\nDETAIL:  Key (phone)=(0722000001) already exists.', "unique_violation (SQLSTATE 23505); rows do not load"),
        ("ERROR 1062 (23000) at line 4: Duplicate entry '0722000001' for key 'phone'", "duplicate entry (error 1062); SQLSTATE 23000"),
        ("mariadb-dump: Got error: 1356: \"View 'crm.v' references invalid\" when using LOCK TABLES", "a view refers to what is not there (error 1356)"),
        ("Fatal: unable to open config file: Head \"http://127.0.0.1:1\": dial tcp: connect: connection refused",
         "connection refused"),
        ("cp: cannot stat '/var/spool/0722000001.wav': No such file or directory", "no such file or directory"),
        ("Ionescu, 0722000001", None),
        ("", None),
    ],
)  # fmt: skip
def test_an_answer_is_of_the_closed_list(said: str, answer: str | None) -> None:
    assert FreeText(said).answer == answer
    error = CommandFailed(["psql"], 1, FreeText(said))
    assert str(error) == "psql exited with 1" + (f": {answer}" if answer else "")
    assert error.stderr.reveal() == said, "it can be searched all the same"


def is_no_answer(name: str) -> bool:
    """Redis's codes are: WRONGPASS, NOAUTH."""
    return FreeText(name).answer is None


@given(st.text(st.characters(categories=("Lu", "Nd")), min_size=6, max_size=30).filter(is_no_answer))
def test_no_word_of_a_program_comes_into_a_sentence(name: str) -> None:
    words = FreeText(f'ERROR:  23505: duplicate key\nDETAIL:  Key (phone)=({name}) already exists in "{name}"')
    error = CommandFailed(["psql"], 3, words)
    for sentence in (f"{words}", str(words), repr(words), str(error), lacking(words), at(words, ["customer"])):
        assert name not in sentence
    assert name in words.reveal() and name in words_of(error)


def test_a_sentence_of_ours_is_told_as_it_is(wording: SnapshotAssertion) -> None:
    error = CommandFailed(["query"], 2, "files answer no queries")
    assert str(error) == wording and not words_of(error)


def test_objects_that_the_manifest_lists_are_named_and_nothing_else() -> None:
    contents = {"tables": {'public."Call"': {"rows": 3}}, "roles": ["agent"], "settings": {"work_mem": "4MB"}}
    words = FreeText('COPY failed for table "Call": Key ("0722000001") of role "agent", said by \'Ionescu\'')
    assert at(words, names_in(contents)) == ", at Call, agent"
    assert at(words, ["nothing"]) == "" and lacking(NO_WORDS) == "see what it says"


def test_words_come_along_whoever_words_an_error_anew(wording: SnapshotAssertion) -> None:
    def loaded() -> None:
        try:
            raise CommandFailed(["pg_restore"], 1, FreeText(ROW))
        except CommandFailed as error:
            raise BackupBad(f"the backup does not load: {error}") from None

    with pytest.raises(TestBroken) as raised:
        try:
            loaded()
        except BackupBad as error:
            raise TestBroken(f"{error}; but it was pruned", words=FreeText("the server's log")) from None
    why = failure_of(raised.value)
    assert why.reason == wording
    assert why.words.reveal() == f"{ROW}\nthe server's log"


def test_what_a_library_says_is_anybody_s() -> None:
    try:
        int("0722000001x")
    except ValueError as error:
        why = failure_of(error)
    assert "0722000001" not in why.reason and "ValueError" in why.reason
    assert "0722000001x" in why.words


def test_no_sentence_is_made_of_words() -> None:
    """They would stand there as three dots, and whoever searches that would find nothing."""
    wrong = []
    for path in Path(ccdr.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FormattedValue):
                value = node.value.func if isinstance(node.value, ast.Call) else node.value
                name = getattr(value, "attr", getattr(value, "id", ""))
                if name in ("stderr", "words", "words_of", "readable", "last_words"):
                    wrong.append(f"{path.name}:{node.lineno}: {ast.unparse(node.value)}")
    assert not wrong, wrong


def test_nothing_that_was_said_is_carried_out_by_a_terminal() -> None:
    """A caller's name may clear the screen, or write a line of its own over ours."""
    words = FreeText("Failing row contains (\x1b]0;PWNED\x07\x1b[2J, \x9b2J, \rPASS).\r\nnext\tline\n")
    assert words.shown == "Failing row contains (\\x1b]0;PWNED\\x07\\x1b[2J, \\x9b2J, \\x0dPASS).\nnext\tline\n"
    assert words.reveal().count("\x1b") == 2, "who parses it gets it as it was"


def test_what_does_not_load_is_named_where_the_manifest_lists_it() -> None:
    words = FreeText(
        "pg_restore: error: could not execute query: ERROR:  0722000001\nCONTEXT:  PL/pgSQL function f()\n"
        "Command was: REFRESH MATERIALIZED VIEW public.mv;\n"
    )
    held = {"tables": {"public mv postgres": {"rows": 3}}}
    assert words.answer == "a materialised view cannot be refreshed" and at(words, names_in(held)) == ", at mv"


LIBRARY = 'could not access file "$libdir/x": No such file or directory'


@pytest.mark.parametrize(
    "said",
    [
        f"pg_restore: error: could not execute query: ERROR:  {LIBRARY}\nCommand was: CREATE FUNCTION x",
        f"pg_restore: while PROCESSING TOC:\npg_restore: error: could not execute query: ERROR:  {LIBRARY}",
        f"psql:<stdin>:12: ERROR:  58P01: {LIBRARY}\nLOCATION:  x",
        f"ERROR:  {LIBRARY}",
        f"psql: error: connection to server failed: FATAL:  {LIBRARY}",
        f"ERROR 1126 (HY000) at line 4: {LIBRARY}",
        f"ERROR 1126 (HY000) at line 4 in file: '/a': {LIBRARY}",
        f"pg_restore: error: {LIBRARY}",
        f"mariadb-import: Error: 1126, {LIBRARY}, when using table: call",
    ],
)
def test_an_error_is_found_where_a_program_tells_it(said: str) -> None:
    assert FreeText(said).errors.begins(re.compile("could not access file"))


@pytest.mark.parametrize(
    "said",
    [
        'pg_restore: error: COPY failed for table "call": ERROR:  duplicate key value violates unique constraint "c"\n'
        f"DETAIL:  Key (note)=({LIBRARY}) already exists.",
        'ERROR:  new row for relation "call" violates check constraint "c"\n'
        f"DETAIL:  Failing row contains (1, a\nERROR:  {LIBRARY}\npg_restore: error: {LIBRARY}).",
        f'ERROR:  invalid input syntax for type integer: "{LIBRARY}"\nCONTEXT:  COPY call, line 1: "{LIBRARY}"',
        f"ERROR 1062 (23000) at line 4: Duplicate entry '{LIBRARY}' for key 'note'",
        f"mariadb-import: Error: 1062, Duplicate entry 'a\nERROR 1126 (HY000): {LIBRARY}' for key",
        f"ERROR:  P0001: refused: {LIBRARY}",
        f"HINT:  {LIBRARY}",
        "",
    ],
)
def test_no_row_is_taken_for_an_error(said: str) -> None:
    assert not FreeText(said).errors.begins(re.compile("could not access file"))


LOADED = Manifest(
    "p",
    "crm",
    "r",
    "postgres",
    "dump",
    "h",
    datetime.now(UTC),
    0.0,
    {},
    {"version": "17.6", "tables": {}},
    attested=SAID,
)


def test_a_bad_backup_is_told_from_an_image_that_lacks_something() -> None:
    row = (
        'pg_restore: error: could not execute query: ERROR:  could not create unique index "u"\n'
        f"DETAIL:  Key (note)=({LIBRARY}) is duplicated."
    )
    lacking = f"pg_restore: error: could not execute query: ERROR:  {LIBRARY}\nCommand was: CREATE FUNCTION x"
    assert isinstance(unloadable(CommandFailed(["pg_restore"], 1, row), LACKS, LOADED), BackupBad)
    assert isinstance(unloadable(CommandFailed(["pg_restore"], 1, lacking), LACKS, LOADED), TestBroken)


def test_an_image_lacks_an_extension_that_the_backup_has_and_no_language_without_one() -> None:
    words = (
        'pg_restore: error: could not execute query: ERROR:  extension "plx" is not available\nCommand was: CREATE x'
    )
    for known, kind in (((), BackupBad), (("pl", "x.*"), BackupBad), (("hstore", "plx"), TestBroken)):
        judged = unloadable(CommandFailed(["pg_restore"], 1, FreeText(words)), lacks(known), LOADED)
        assert isinstance(judged, kind), known


@pytest.mark.parametrize(
    "lacks",
    [
        'could not open stop-word file "/usr/share/postgresql/17/tsearch_data/ours.stop": No such file or directory',
        'could not open thesaurus file "/opt/pg/share/tsearch_data/ours.ths": No such file or directory',
        'invalid value for parameter "timezone_abbreviations": "Ours"',
        'could not find function "magic" in file "/usr/lib/postgresql/17/lib/dialler.so"',
        'could not load library "/usr/lib/postgresql/17/lib/dialler.so": libmagic.so: cannot open shared object file',
        'could not open collator for locale "xx" with rules "": U_FILE_ACCESS_ERROR',
    ],
)
def test_what_the_image_s_own_files_lack_is_said_of_that_image(lacks: str) -> None:
    words = FreeText(f"pg_restore: error: could not execute query: ERROR:  {lacks}\nCommand was: CREATE x")
    judged = unloadable(CommandFailed(["pg_restore"], 1, words, image="dialler/postgres:17"), LACKS, LOADED)
    assert isinstance(judged, TestBroken) and "dialler/postgres:17" in str(judged)
    assert str(LOADED.contents["version"]) in str(judged.hint), "which image has it"
    row = FreeText(f'pg_restore: error: COPY failed for table "t": ERROR:  bad row\nDETAIL:  {lacks}')
    assert isinstance(unloadable(CommandFailed(["pg_restore"], 1, row), LACKS, LOADED), BackupBad), "the twin"
