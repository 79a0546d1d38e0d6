"""How a server is reached. TLS is verified off loopback, by a CA that the plan names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ccdr.engines.servers.connection import Peer
from ccdr.model.schema import PlanPath, Text, WithPassword


class Connection(Peer, WithPassword):
    """How to reach the source. `host` may be the path of a Unix socket."""

    host: Text = Field("127.0.0.1", description="name, address, or path of the Unix socket")
    port: int = Field(6379, ge=1, le=65535, description="where `host` is no Unix socket: its TCP port")
    user: Text | None = Field(None, description="ACL user; left out, the server's `default`")
    tls: Literal["verify", "loopback"] = Field(
        "loopback", description="`verify` asks for verified TLS on loopback too; elsewhere it always is"
    )
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate, and no other server's")
    cert_file: PlanPath | None = Field(None, description="our certificate, where the server asks clients for one")
    key_file: PlanPath | None = Field(None, description="its key")

    @model_validator(mode="after")
    def _verifiable(self) -> Self:
        """The clients verify a certificate's chain and not its name: with the system's CAs, anybody who has a
        certificate for anything would pass for this server."""
        if self.verified_tls and self.ca_file is None:
            raise ValueError(
                "leaves the machine without a ca_file, expected the CA of this server alone: "
                "the client compares no names, so the system's CAs would verify nothing"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("has one of cert_file and key_file, expected both")
        return self

    @property
    def mounts(self) -> tuple[Path, ...]:
        """What of this host a client in a container must see, read-only. The socket's directory: a server that was
        started anew has a new socket."""
        files = (self.ca_file, self.cert_file, self.key_file) if self.verified_tls else ()
        return (*([self.socket.parent] if self.socket else []), *(path for path in files if path))

    @property
    def named(self) -> str:
        return str(self.socket) if self.socket else f"{self.host}:{self.port}"

    @property
    def options(self) -> list[str]:
        """For the client's command line; no secret is among them."""
        options = ["-s", self.host] if self.socket else ["-h", self.host, "-p", str(self.port)]
        if self.verified_tls:
            options += ["--tls", "--cacert", str(self.ca_file), "--sni", self.host]
            if self.cert_file is not None:
                options += ["--cert", str(self.cert_file), "--key", str(self.key_file)]
        return options
