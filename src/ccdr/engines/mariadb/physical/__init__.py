"""A whole server: its files, copied while it runs, and a server that runs on them."""

from ccdr.engines.mariadb.physical.method import Physical

__all__ = ["Physical"]
