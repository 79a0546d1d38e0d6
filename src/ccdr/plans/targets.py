"""Where `ccdr recover` brings each asset: in the plan (`targets:`), or in a file of its own (`--to FILE`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from ccdr.model.schema import Name, PlanPath, Strict, Text
from ccdr.plans.own_file import OwnFile

ONE_OF = "names no place, or several, expected one of server, directory and new_server"


class NewServer(Strict):
    """A server that is not there yet: made ready in an empty directory, started once its checks have passed."""

    directory: PlanPath = Field(description="absent or empty: its data, settings and log go below it")
    owner: Text | None = Field(
        None, description="the user that it runs as (default: the engine's own, postgres say, where this host has it)"
    )
    address: Text = Field("127.0.0.1", description="where it listens once it is opened, beside its Unix socket")
    port: int | None = Field(None, ge=1, le=65535, description="its port (default: the one that the plan's source has)")
    sockets: PlanPath | None = Field(
        None, description="directory of its Unix socket (default: `run` in its own directory)"
    )
    settings: dict[str, Text] = Field({}, description="settings of the server, beside those that were captured")
    start: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        None, description="command (a list) that starts it on this host; without it ccdr prints the literal lines"
    )


class Target(Strict):
    """One place: a server that runs, a directory, or a new server."""

    server: Text | None = Field(None, description="postgresql:// or mysql://user@host:port/database, absent or empty")
    password_file: PlanPath | None = Field(None, description="file whose first line is the password at `server`")
    ca_file: PlanPath | None = Field(None, description="CA that signed the certificate of `server`")
    directory: PlanPath | None = Field(None, description="a directory, absent or empty")
    new_server: NewServer | None = Field(None, description="a server that ccdr makes ready on this host")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.server, self.directory, self.new_server)) != 1:
            raise ValueError(ONE_OF)
        if self.server is None and (self.password_file or self.ca_file):
            raise ValueError("has password_file or ca_file without server, expected them with server alone")
        return self

    @property
    def kind(self) -> str:
        """`server`, `directory` or `new_server`: the key that names the place."""
        if self.new_server is not None:
            return "new_server"
        return "directory" if self.directory is not None else "server"

    @property
    def shown(self) -> str:
        """The place as people and records name it, without a secret."""
        if self.new_server is not None:
            return str(self.new_server.directory)
        return str(self.directory) if self.directory is not None else str(self.server)


Targets = dict[Name, Target]


class TargetsFile(Strict):
    """A file for `ccdr recover --to`: places of assets, in place of the plan's."""

    targets: Annotated[Targets, Field(min_length=1)] = Field(description="where each asset is brought, by its name")


def load_targets(path: Path | None) -> Targets:
    """The places of a file; none of no file. PlanInvalid with every problem of it; UsageProblem where it cannot be
    read."""
    if path is None:
        return {}
    return OwnFile.load(TargetsFile, path.name, path, None, kinds=Target).value.targets
