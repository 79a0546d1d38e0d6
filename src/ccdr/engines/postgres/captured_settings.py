"""Which of a server's settings are taken down with what it holds, so that a new one can be set alike. None of them may
hold a secret: no command, no connection string."""

from __future__ import annotations

from collections.abc import Iterable

# The log that a base needs makes use of as many as the source had.
AT_LEAST = ("max_connections", "max_worker_processes", "max_prepared_transactions", "max_locks_per_transaction")
ALWAYS = (*AT_LEAST, "max_wal_senders", "shared_preload_libraries")
# Taken down where somebody has set them.
IF_SET = [
    "archive_mode",
    "autovacuum",
    "autovacuum_analyze_scale_factor",
    "autovacuum_max_workers",
    "autovacuum_naptime",
    "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_scale_factor",
    "checkpoint_completion_target",
    "checkpoint_timeout",
    "default_statistics_target",
    "default_text_search_config",
    "default_toast_compression",
    "effective_cache_size",
    "effective_io_concurrency",
    "hash_mem_multiplier",
    "jit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "log_min_duration_statement",
    "log_timezone",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_wal_size",
    "min_wal_size",
    "password_encryption",
    "random_page_cost",
    "session_preload_libraries",
    "shared_buffers",
    "ssl",
    "summarize_wal",
    "synchronous_commit",
    "temp_buffers",
    "track_commit_timestamp",
    "wal_buffers",
    "wal_compression",
    "wal_keep_size",
    "wal_level",
    "work_mem",
]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# One SQL expression: what is set, by name, in each setting's own unit. What this session has set is not the server's.
SETTINGS = f"""(select jsonb_object_agg(name, setting) from pg_settings
      where name in ({_quoted(ALWAYS)})
         or name in ({_quoted(IF_SET)}) and source in ('configuration file', 'command line', 'environment variable'))"""
