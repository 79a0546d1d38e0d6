"""ccdr: contact-centre disaster recovery. Backups that are restored, checked and measured."""

__version__ = "0.2.0"
