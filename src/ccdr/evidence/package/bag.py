"""The bag (RFC 8493): which files there are, and the SHA-256 of each. Nothing outside of it is ever opened: a link, a
path that leads out, or anything that is no plain file is a finding, and is not followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.checkpoints.verification import Finding

FORMAT = "2"  # of a package: raised when an earlier ccdr would misread one
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
DECLARATION, INFO, MANIFEST, TAGS = "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"
TAG_FILES = (DECLARATION, INFO, MANIFEST)  # those that the tag manifest names
DATA = "data"
BY_LEDGER = "Ccdr-Ledger"  # the label that names the ledger of the host that made it
LARGEST = 4 * 1024**2  # bytes of a file that is read as a whole
LONGEST = 16 * 1024**2  # bytes of one line
_LINE = re.compile(r"([0-9a-f]{64})  (\S.{0,1023})")
_PART = re.compile(r"[A-Za-z0-9_+@=,.-]{1,255}")
_BLOCK = 1024**2
_UNSAFE = frozenset(("PACKAGE_PATH_UNSAFE", "PACKAGE_NO_FILE"))


def is_package(directory: Path) -> bool:
    """Is it meant to be one, whatever is wrong with it?"""
    return any((directory / name).exists() for name in (DECLARATION, INFO, MANIFEST, "data/ledgers"))


def is_safe(path: str) -> bool:
    """Does a path of a manifest stay below the bag, whatever system reads it?"""
    return all(_PART.fullmatch(part) and part.strip(".") for part in path.split("/"))


@dataclass(frozen=True)
class Bag:
    """What a bag says of itself (`info`), and the SHA-256 of each file below `data/` by its path, as its manifest has
    it. `readable`: nothing in it leads elsewhere, so that its files can be opened."""

    root: Path
    info: Mapping[str, str]
    payload: Mapping[str, str]
    readable: bool

    def below(self, folder: str) -> list[str]:
        """Names of files below a folder of `data/`, relative to it, in order."""
        start = f"{DATA}/{folder}/"
        return sorted(path.removeprefix(start) for path in self.payload if path.startswith(start))

    def read(self, path: str, largest: int = LARGEST) -> bytes:
        """A small file by its path in the bag. ValueError where it is not there, or no small one."""
        try:
            descriptor = os.open(self.root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                contents = file.read(largest + 1)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        if len(contents) > largest:
            raise ValueError(f"has more than {largest} bytes")
        return contents


def examine(root: Path) -> tuple[Bag, list[Finding]]:
    """The bag, and all that is not as its manifests say. OSError where the directory itself cannot be read."""
    found = list[Finding]()
    there = dict[str, str]()
    for path, kind in _walk(root):
        if kind is not None:
            found.append(Finding("PACKAGE_NO_FILE", f"{path!a} is {kind}: it is not followed"))
        elif not is_safe(path):
            found.append(Finding("PACKAGE_PATH_UNSAFE", f"{path!a} is no name that a package has"))
        else:
            there[path] = ""
    if found:
        return Bag(root, {}, {}, False), found
    payload = _manifest(root, MANIFEST, there, found)
    tags = _manifest(root, TAGS, there, found)
    found += [
        Finding("PACKAGE_PATH_UNSAFE", f"{MANIFEST} names {path!a}, which is not below {DATA}/")
        for path in payload
        if not path.startswith(f"{DATA}/")
    ]
    found += [
        Finding("PACKAGE_MANIFEST_WRONG", f"{TAGS} names {path!a}, which it must not, or does not name")
        for path in sorted(set(TAG_FILES) ^ set(tags))
    ]
    if any(one.code in _UNSAFE for one in found):
        return Bag(root, {}, {}, False), found
    for path, digest in {**payload, **tags}.items():
        if path not in there:
            found.append(Finding("PACKAGE_FILE_MISSING", f"{path} is not there, and a manifest names it"))
            continue
        actual, longest = _digest(root / path, lines=path.endswith((".jsonl", ".txt", ".csv")))
        if longest:
            found.append(Finding("PACKAGE_FILE_CHANGED", f"{path} has a line of more than {LONGEST} bytes"))
            return Bag(root, {}, {}, False), found
        if actual != digest:
            found.append(Finding("PACKAGE_FILE_CHANGED", f"{path} is not the file that its manifest has the digest of"))
    extra = sorted(there.keys() - payload.keys() - tags.keys() - {TAGS})
    found += [Finding("PACKAGE_FILE_EXTRA", f"{path} is in no manifest: it was put here, or renamed") for path in extra]
    here = {path: digest for path, digest in payload.items() if path in there}
    return Bag(root, _info(root, there, found), here, True), found


def _walk(root: Path) -> Iterator[tuple[str, str | None]]:
    """Every entry that is no directory, by its path below the root; and what it is where it is no plain file."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(root / below) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}" if below else entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISLNK(mode):
                    yield path, "a symbolic link"
                elif stat.S_ISDIR(mode):
                    waiting.append(path)
                else:
                    yield path, None if stat.S_ISREG(mode) else "no plain file"


def _manifest(root: Path, name: str, there: Mapping[str, str], found: list[Finding]) -> dict[str, str]:
    listed = dict[str, str]()
    if name not in there:
        found.append(Finding("PACKAGE_FILE_MISSING", f"{name} is not there"))
        return listed
    with (root / name).open("rb") as file:
        number = 0
        while line := file.readline(2048):
            number += 1
            match = _LINE.fullmatch(line.decode("utf-8", "replace").removesuffix("\n"))
            if match is None or match[2] in listed:
                why = "is no digest and path" if match is None else "names a file for the second time"
                found.append(Finding("PACKAGE_MANIFEST_WRONG", f"{name}: line {number} {why}"))
                return listed
            if not is_safe(match[2]):
                found.append(Finding("PACKAGE_PATH_UNSAFE", f"{name}: line {number} names {match[2]!a}: not followed"))
                continue
            listed[match[2]] = match[1]
    return listed


def _digest(path: Path, *, lines: bool = False) -> tuple[str, bool]:
    """Its SHA-256; and whether one of its lines is too long to be read."""
    digest, since = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            since = since + len(block) if b"\n" not in block else len(block) - block.rfind(b"\n")
            if lines and since > LONGEST:
                return "", True
    return digest.hexdigest(), False


def _info(root: Path, there: Mapping[str, str], found: list[Finding]) -> dict[str, str]:
    info = dict[str, str]()
    if DECLARATION in there and Bag(root, {}, {}, True).read(DECLARATION) != BAGIT:
        found.append(Finding("PACKAGE_INFO_WRONG", f"{DECLARATION} is not that of BagIt 1.0"))
    if INFO not in there:
        return info
    try:
        text = Bag(root, {}, {}, True).read(INFO).decode("utf-8")
    except ValueError as why:
        found.append(Finding("PACKAGE_INFO_WRONG", f"{INFO} {why}"))
        return info
    for line in text.splitlines():
        label, colon, value = line.partition(": ")
        if not colon or label in info:
            found.append(Finding("PACKAGE_INFO_WRONG", f"{INFO}: {label[:60]!a} is no label, or stands there twice"))
            return info
        info[label] = value
    return info


def seal(root: Path, info: Mapping[str, str]) -> None:
    """Write what makes a bag of the directory: its manifests and `info`, on disk when this returns. OSError where the
    disk refuses."""
    files = _payload(root)
    manifest = "".join(f"{_digest(root / DATA / path)[0]}  {DATA}/{path}\n" for path in files)
    texts = {DECLARATION: BAGIT.decode(), INFO: info_text(root, info), MANIFEST: manifest}
    for name, text in texts.items():
        (root / name).write_text(text, "utf-8")
    tags = "".join(f"{_digest(root / name)[0]}  {name}\n" for name in TAG_FILES)
    (root / TAGS).write_text(tags, "utf-8")


def as_read(info: Mapping[str, str]) -> dict[str, str]:
    """A line break in a value would be another label."""
    return {label: " ".join(value.split()) for label, value in info.items()}


def info_text(root: Path, info: Mapping[str, str]) -> str:
    """A line each; and how much there is below `data/`."""
    files = _payload(root)
    size = sum((root / DATA / path).stat().st_size for path in files)
    about = as_read({**info, "Payload-Oxum": f"{size}.{len(files)}"})
    return "".join(f"{label}: {value}\n" for label, value in about.items())


def _payload(root: Path) -> list[str]:
    return sorted(path for path, _ in _walk(root / DATA))
