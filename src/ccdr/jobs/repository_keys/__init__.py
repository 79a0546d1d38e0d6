"""The passwords of repositories: `opened.py` finds what a password opens, `changing.py` lists, adds and removes one,
`rotating.py` puts another in the place of the one in use."""

from ccdr.jobs.repository_keys.changing import add, key_named, keys_listed, remove
from ccdr.jobs.repository_keys.opened import Opened, opened_by, repositories_of
from ccdr.jobs.repository_keys.rotating import Rotation, rotate

__all__ = [
    "Opened",
    "Rotation",
    "add",
    "key_named",
    "keys_listed",
    "opened_by",
    "remove",
    "repositories_of",
    "rotate",
]
