"""The settings that users may set, with the types, bounds and contexts of PostgreSQL 15 to 18.

Taken from pg_settings of 15.19, 16.15, 17.11 and 18.6; a test compares every line with the servers.
Settings that name files, run commands or load code are left out on purpose, and so are those that the
program or the machine sets (see server_settings).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict, Unpack

from postgres.extensions import PRELOAD, PRELOADABLE_LIBRARIES
from postgres.setting_rule import SettingContext, SettingRule

_INT_MAX = 2**31 - 1
_REAL_MAX = 1.79769e308


class _Details(TypedDict, total=False):
    unit: str
    multiple_of: int
    lowest_above_zero: int
    library: str
    since: int
    until: int


def _bool(name: str, context: SettingContext, **details: Unpack[_Details]) -> SettingRule:
    return SettingRule(name=name, kind="bool", context=context, **details)


def _integer(
    name: str, context: SettingContext, minimum: int, maximum: int, **details: Unpack[_Details]
) -> SettingRule:
    return SettingRule(
        name=name, kind="integer", context=context, minimum=minimum, maximum=maximum, **details
    )


def _real(
    name: str, context: SettingContext, minimum: float, maximum: float, **details: Unpack[_Details]
) -> SettingRule:
    return SettingRule(name=name, kind="real", context=context, minimum=minimum, maximum=maximum, **details)


def _enum(
    name: str, context: SettingContext, values: tuple[str, ...], **details: Unpack[_Details]
) -> SettingRule:
    return SettingRule(name=name, kind="enum", context=context, values=values, **details)


def _string(
    name: str, context: SettingContext, pattern: str, hint: str, **details: Unpack[_Details]
) -> SettingRule:
    return SettingRule(name=name, kind="string", context=context, pattern=pattern, hint=hint, **details)


def _list_of(words: tuple[str, ...]) -> str:
    word = "|".join(words)
    return rf"(?:{word})(?:, ?(?:{word}))*"


_MEMORY = (
    _integer("shared_buffers", "postmaster", 16, 1_073_741_823, unit="8kB"),
    _enum("huge_pages", "postmaster", ("off", "on", "try")),
    _integer("huge_page_size", "postmaster", 0, _INT_MAX, unit="kB"),
    _integer("temp_buffers", "user", 100, 1_073_741_823, unit="8kB"),
    _integer("max_prepared_transactions", "postmaster", 0, 262_143),
    _integer("work_mem", "user", 64, _INT_MAX, unit="kB"),
    _real("hash_mem_multiplier", "user", 1, 1000),
    _integer("maintenance_work_mem", "user", 1024, _INT_MAX, unit="kB", until=16),
    _integer("maintenance_work_mem", "user", 64, _INT_MAX, unit="kB", since=17),
    _integer("autovacuum_work_mem", "sighup", -1, _INT_MAX, unit="kB"),
    _integer("logical_decoding_work_mem", "user", 64, _INT_MAX, unit="kB"),
    _integer("max_stack_depth", "superuser", 100, _INT_MAX, unit="kB"),
    _integer("min_dynamic_shared_memory", "postmaster", 0, _INT_MAX, unit="MB"),
    _integer("temp_file_limit", "superuser", -1, _INT_MAX, unit="kB"),
    _integer("vacuum_buffer_usage_limit", "user", 0, 16_777_216, unit="kB", lowest_above_zero=128, since=16),
    _integer("commit_timestamp_buffers", "postmaster", 0, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("multixact_member_buffers", "postmaster", 16, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("multixact_offset_buffers", "postmaster", 16, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("notify_buffers", "postmaster", 16, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("serializable_buffers", "postmaster", 16, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("subtransaction_buffers", "postmaster", 0, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("transaction_buffers", "postmaster", 0, 131_072, unit="8kB", multiple_of=16, since=17),
    _integer("max_notify_queue_pages", "postmaster", 64, _INT_MAX, since=17),
)

_CONNECTIONS = (
    _integer("max_connections", "postmaster", 1, 262_143),
    _integer("superuser_reserved_connections", "postmaster", 0, 262_143),
    _integer("reserved_connections", "postmaster", 0, 262_143, since=16),
    _integer("tcp_keepalives_idle", "user", 0, _INT_MAX, unit="s"),
    _integer("tcp_keepalives_interval", "user", 0, _INT_MAX, unit="s"),
    _integer("tcp_keepalives_count", "user", 0, _INT_MAX),
    _integer("tcp_user_timeout", "user", 0, _INT_MAX, unit="ms"),
    _integer("client_connection_check_interval", "user", 0, _INT_MAX, unit="ms"),
    _integer("max_files_per_process", "postmaster", 64, _INT_MAX),
    _integer("authentication_timeout", "sighup", 1, 600, unit="s"),
)

_TIMEOUTS = (
    _integer("statement_timeout", "user", 0, _INT_MAX, unit="ms"),
    _integer("transaction_timeout", "user", 0, _INT_MAX, unit="ms", since=17),
    _integer("lock_timeout", "user", 0, _INT_MAX, unit="ms"),
    _integer("idle_in_transaction_session_timeout", "user", 0, _INT_MAX, unit="ms"),
    _integer("idle_session_timeout", "user", 0, _INT_MAX, unit="ms"),
    _integer("deadlock_timeout", "superuser", 1, _INT_MAX, unit="ms"),
    _integer("max_locks_per_transaction", "postmaster", 10, _INT_MAX),
    _integer("max_pred_locks_per_transaction", "postmaster", 10, _INT_MAX),
    _integer("max_pred_locks_per_relation", "sighup", -2_147_483_648, _INT_MAX),
    _integer("max_pred_locks_per_page", "sighup", 0, _INT_MAX),
)

_BACKGROUND_WORKERS_AND_INPUT_AND_OUTPUT = (
    _integer("bgwriter_delay", "sighup", 10, 10000, unit="ms"),
    _integer("bgwriter_flush_after", "sighup", 0, 256, unit="8kB"),
    _integer("bgwriter_lru_maxpages", "sighup", 0, 1_073_741_823),
    _real("bgwriter_lru_multiplier", "sighup", 0, 10),
    _integer("backend_flush_after", "user", 0, 256, unit="8kB"),
    _integer("effective_io_concurrency", "user", 0, 1000),
    _integer("maintenance_io_concurrency", "user", 0, 1000),
    _integer("io_combine_limit", "user", 1, 32, unit="8kB", since=17, until=17),
    _integer("io_combine_limit", "user", 1, 128, unit="8kB", since=18),
    _integer("io_max_combine_limit", "postmaster", 1, 128, unit="8kB", since=18),
    _integer("io_max_concurrency", "postmaster", -1, 1024, since=18),
    _enum("io_method", "postmaster", ("sync", "worker"), since=18),
    _integer("io_workers", "sighup", 1, 32, since=18),
    _integer("max_worker_processes", "postmaster", 0, 262_143),
    _integer("max_parallel_workers", "user", 0, 1024),
    _integer("max_parallel_workers_per_gather", "user", 0, 1024),
    _integer("max_parallel_maintenance_workers", "user", 0, 1024),
    _bool("parallel_leader_participation", "user"),
)

_WRITE_AHEAD_LOG = (
    _enum("wal_level", "postmaster", ("minimal", "replica", "logical")),
    _enum("synchronous_commit", "user", ("local", "remote_write", "remote_apply", "on", "off")),
    _enum("wal_compression", "superuser", ("pglz", "lz4", "zstd", "on", "off")),
    _integer("wal_buffers", "postmaster", -1, 262_143, unit="8kB"),
    _integer("wal_writer_delay", "sighup", 1, 10000, unit="ms"),
    _integer("wal_writer_flush_after", "sighup", 0, _INT_MAX, unit="8kB"),
    _integer("wal_skip_threshold", "user", 0, _INT_MAX, unit="kB"),
    _bool("wal_init_zero", "superuser"),
    _bool("wal_recycle", "superuser"),
    _bool("wal_log_hints", "postmaster"),
    _integer("commit_delay", "superuser", 0, 100_000),
    _integer("commit_siblings", "user", 0, 1000),
    _integer("checkpoint_timeout", "sighup", 30, 86400, unit="s"),
    _real("checkpoint_completion_target", "sighup", 0, 1),
    _integer("checkpoint_flush_after", "sighup", 0, 256, unit="8kB"),
    _integer("checkpoint_warning", "sighup", 0, _INT_MAX, unit="s"),
    _integer("max_wal_size", "sighup", 2, _INT_MAX, unit="MB"),
    _integer("min_wal_size", "sighup", 2, _INT_MAX, unit="MB"),
    _integer("wal_keep_size", "sighup", 0, _INT_MAX, unit="MB"),
    _integer("max_slot_wal_keep_size", "sighup", -1, _INT_MAX, unit="MB"),
    _integer("idle_replication_slot_timeout", "sighup", 0, _INT_MAX, unit="s", since=18),
    _integer("wal_sender_timeout", "user", 0, _INT_MAX, unit="ms"),
    _integer("max_wal_senders", "postmaster", 0, 262_143),
    _integer("max_replication_slots", "postmaster", 0, 262_143),
    _integer("max_logical_replication_workers", "postmaster", 0, 262_143),
    _integer("max_sync_workers_per_subscription", "sighup", 0, 262_143),
    _integer("max_parallel_apply_workers_per_subscription", "sighup", 0, 1024, since=16),
    _integer("max_active_replication_origins", "postmaster", 0, 262_143, since=18),
    _bool("track_commit_timestamp", "postmaster"),
    _bool("summarize_wal", "sighup", since=17),
    _integer("wal_summary_keep_time", "sighup", 0, 35_791_394, unit="min", since=17),
    _enum("recovery_prefetch", "sighup", ("off", "on", "try")),
    _integer("wal_decode_buffer_size", "postmaster", 65536, 1_073_741_823, unit="B"),
)

_PLANNER = (
    _bool("enable_async_append", "user"),
    _bool("enable_bitmapscan", "user"),
    _bool("enable_distinct_reordering", "user", since=18),
    _bool("enable_gathermerge", "user"),
    _bool("enable_group_by_reordering", "user", since=17),
    _bool("enable_hashagg", "user"),
    _bool("enable_hashjoin", "user"),
    _bool("enable_incremental_sort", "user"),
    _bool("enable_indexscan", "user"),
    _bool("enable_indexonlyscan", "user"),
    _bool("enable_material", "user"),
    _bool("enable_memoize", "user"),
    _bool("enable_mergejoin", "user"),
    _bool("enable_nestloop", "user"),
    _bool("enable_parallel_append", "user"),
    _bool("enable_parallel_hash", "user"),
    _bool("enable_partition_pruning", "user"),
    _bool("enable_partitionwise_join", "user"),
    _bool("enable_partitionwise_aggregate", "user"),
    _bool("enable_presorted_aggregate", "user", since=16),
    _bool("enable_self_join_elimination", "user", since=18),
    _bool("enable_seqscan", "user"),
    _bool("enable_sort", "user"),
    _bool("enable_tidscan", "user"),
    _real("seq_page_cost", "user", 0, _REAL_MAX),
    _real("random_page_cost", "user", 0, _REAL_MAX),
    _real("cpu_tuple_cost", "user", 0, _REAL_MAX),
    _real("cpu_index_tuple_cost", "user", 0, _REAL_MAX),
    _real("cpu_operator_cost", "user", 0, _REAL_MAX),
    _real("parallel_setup_cost", "user", 0, _REAL_MAX),
    _real("parallel_tuple_cost", "user", 0, _REAL_MAX),
    _integer("min_parallel_table_scan_size", "user", 0, 715_827_882, unit="8kB"),
    _integer("min_parallel_index_scan_size", "user", 0, 715_827_882, unit="8kB"),
    _integer("effective_cache_size", "user", 1, _INT_MAX, unit="8kB"),
    _bool("jit", "user"),
    _real("jit_above_cost", "user", -1, _REAL_MAX),
    _real("jit_inline_above_cost", "user", -1, _REAL_MAX),
    _real("jit_optimize_above_cost", "user", -1, _REAL_MAX),
    _integer("default_statistics_target", "user", 1, 10000),
    _enum("constraint_exclusion", "user", ("partition", "on", "off")),
    _real("cursor_tuple_fraction", "user", 0, 1),
    _integer("from_collapse_limit", "user", 1, _INT_MAX),
    _integer("join_collapse_limit", "user", 1, _INT_MAX),
    _enum("plan_cache_mode", "user", ("auto", "force_generic_plan", "force_custom_plan")),
    _real("recursive_worktable_factor", "user", 0.001, 1e6),
    _bool("geqo", "user"),
    _integer("geqo_threshold", "user", 2, _INT_MAX),
    _integer("geqo_effort", "user", 1, 10),
)

_VACUUM = (
    _bool("autovacuum", "sighup"),
    _integer("autovacuum_max_workers", "postmaster", 1, 262_143, until=17),
    _integer("autovacuum_max_workers", "sighup", 1, 262_143, since=18),
    _integer("autovacuum_worker_slots", "postmaster", 1, 262_143, since=18),
    _integer("autovacuum_naptime", "sighup", 1, 2_147_483, unit="s"),
    _integer("autovacuum_vacuum_threshold", "sighup", 0, _INT_MAX),
    _integer("autovacuum_vacuum_max_threshold", "sighup", -1, _INT_MAX, since=18),
    _integer("autovacuum_vacuum_insert_threshold", "sighup", -1, _INT_MAX),
    _integer("autovacuum_analyze_threshold", "sighup", 0, _INT_MAX),
    _real("autovacuum_vacuum_scale_factor", "sighup", 0, 100),
    _real("autovacuum_vacuum_insert_scale_factor", "sighup", 0, 100),
    _real("autovacuum_analyze_scale_factor", "sighup", 0, 100),
    _integer("autovacuum_freeze_max_age", "postmaster", 100_000, 2_000_000_000),
    _integer("autovacuum_multixact_freeze_max_age", "postmaster", 10000, 2_000_000_000),
    _real("autovacuum_vacuum_cost_delay", "sighup", -1, 100, unit="ms"),
    _integer("autovacuum_vacuum_cost_limit", "sighup", -1, 10000),
    _real("vacuum_cost_delay", "user", 0, 100, unit="ms"),
    _integer("vacuum_cost_limit", "user", 1, 10000),
    _integer("vacuum_cost_page_hit", "user", 0, 10000),
    _integer("vacuum_cost_page_miss", "user", 0, 10000),
    _integer("vacuum_cost_page_dirty", "user", 0, 10000),
    _integer("vacuum_freeze_min_age", "user", 0, 1_000_000_000),
    _integer("vacuum_freeze_table_age", "user", 0, 2_000_000_000),
    _integer("vacuum_failsafe_age", "user", 0, 2_100_000_000),
    _integer("vacuum_multixact_freeze_min_age", "user", 0, 1_000_000_000),
    _integer("vacuum_multixact_freeze_table_age", "user", 0, 2_000_000_000),
    _integer("vacuum_multixact_failsafe_age", "user", 0, 2_100_000_000),
    _real("vacuum_max_eager_freeze_failure_rate", "user", 0, 1, since=18),
    _bool("vacuum_truncate", "user", since=18),
)

_STATISTICS_AND_REPORTING = (
    _bool("track_activities", "superuser"),
    _integer("track_activity_query_size", "postmaster", 100, 1_048_576, unit="B"),
    _bool("track_counts", "superuser"),
    _enum("track_functions", "superuser", ("none", "pl", "all")),
    _bool("track_io_timing", "superuser"),
    _bool("track_wal_io_timing", "superuser"),
    _bool("track_cost_delay_timing", "superuser", since=18),
    _enum("compute_query_id", "superuser", ("auto", "regress", "on", "off")),
    _enum("stats_fetch_consistency", "user", ("none", "cache", "snapshot")),
    _bool("update_process_title", "superuser"),
    _integer("log_autovacuum_min_duration", "sighup", -1, _INT_MAX, unit="ms"),
    _bool("log_checkpoints", "sighup"),
    _bool("log_duration", "superuser"),
    _enum("log_error_verbosity", "superuser", ("terse", "default", "verbose")),
    _bool("log_lock_waits", "superuser"),
    _bool("log_lock_failures", "superuser", since=18),
    _integer("log_min_duration_statement", "superuser", -1, _INT_MAX, unit="ms"),
    _integer("log_min_duration_sample", "superuser", -1, _INT_MAX, unit="ms"),
    _real("log_statement_sample_rate", "superuser", 0, 1),
    _real("log_transaction_sample_rate", "superuser", 0, 1),
    _integer("log_parameter_max_length", "superuser", -1, 1_073_741_823, unit="B"),
    _integer("log_parameter_max_length_on_error", "user", -1, 1_073_741_823, unit="B"),
    _enum("log_statement", "superuser", ("none", "ddl", "mod", "all")),
    _integer("log_temp_files", "superuser", -1, _INT_MAX, unit="kB"),
    _bool("log_recovery_conflict_waits", "sighup"),
    _integer("log_startup_progress_interval", "sighup", 0, _INT_MAX, unit="ms"),
)

_SESSIONS = (
    _enum(
        "default_transaction_isolation",
        "user",
        ("serializable", "repeatable read", "read committed", "read uncommitted"),
    ),
    _bool("default_transaction_deferrable", "user"),
    _enum("default_toast_compression", "user", ("pglz", "lz4")),
    _enum("bytea_output", "user", ("escape", "hex")),
    _integer("extra_float_digits", "user", -15, 3),
    _integer("gin_fuzzy_search_limit", "user", 0, _INT_MAX),
    _integer("gin_pending_list_limit", "user", 64, _INT_MAX, unit="kB"),
    _enum("intervalstyle", "user", ("postgres", "postgres_verbose", "sql_standard", "iso_8601")),
    _string("timezone", "user", r"[A-Za-z][A-Za-z0-9_+/-]*", "a time zone such as UTC or Europe/Berlin"),
    _string(
        "datestyle",
        "user",
        r"(?i:iso|german|sql|postgres)(?:, ?(?i:dmy|mdy|ymd))?",
        "a style such as ISO, DMY",
    ),
    _string(
        "default_text_search_config",
        "user",
        r"(?:[a-z_]+\.)?[a-z_]+",
        "a configuration such as pg_catalog.english",
    ),
    _enum("xmlbinary", "user", ("base64", "hex")),
    _enum("xmloption", "user", ("content", "document")),
    _bool("synchronize_seqscans", "user"),
    _bool("quote_all_identifiers", "user"),
    _bool("array_nulls", "user"),
)

_PRELOADING = (
    _string(
        PRELOAD,
        "postmaster",
        _list_of(PRELOADABLE_LIBRARIES),
        "a list of " + ", ".join(PRELOADABLE_LIBRARIES),
    ),
)

_PGAUDIT_CLASSES = tuple(
    sign + name
    for sign in ("", "-")
    for name in ("all", "ddl", "function", "misc", "misc_set", "none", "read", "role", "write")
)

_EXTENSIONS = (
    _integer("auth_delay.milliseconds", "sighup", 0, _INT_MAX // 1000, unit="ms", library="auth_delay"),
    _bool("auto_explain.log_analyze", "superuser", library="auto_explain"),
    _bool("auto_explain.log_buffers", "superuser", library="auto_explain"),
    _enum("auto_explain.log_format", "superuser", ("text", "xml", "json", "yaml"), library="auto_explain"),
    _integer("auto_explain.log_min_duration", "superuser", -1, _INT_MAX, unit="ms", library="auto_explain"),
    _bool("auto_explain.log_nested_statements", "superuser", library="auto_explain"),
    _bool("auto_explain.log_timing", "superuser", library="auto_explain"),
    _bool("auto_explain.log_verbose", "superuser", library="auto_explain"),
    _real("auto_explain.sample_rate", "superuser", 0, 1, library="auto_explain"),
    _bool("pg_prewarm.autoprewarm", "postmaster", library="pg_prewarm"),
    _integer(
        "pg_prewarm.autoprewarm_interval", "sighup", 0, _INT_MAX // 1000, unit="s", library="pg_prewarm"
    ),
    _string("cron.database_name", "postmaster", r"[A-Za-z0-9_-]{1,63}", "a database", library="pg_cron"),
    _bool("cron.launch_active_jobs", "sighup", library="pg_cron"),
    _bool("cron.log_run", "postmaster", library="pg_cron"),
    _bool("cron.log_statement", "postmaster", library="pg_cron"),
    _integer("cron.max_running_jobs", "postmaster", 0, 10000, library="pg_cron"),
    _bool("cron.use_background_workers", "postmaster", library="pg_cron"),
    _string(
        "pg_partman_bgw.dbname",
        "sighup",
        r"[a-z0-9_-]+(?:, ?[a-z0-9_-]+)*",
        "a list of databases",
        library="pg_partman_bgw",
    ),
    _integer("pg_partman_bgw.interval", "sighup", 1, _INT_MAX, unit="s", library="pg_partman_bgw"),
    _string("pg_partman_bgw.role", "sighup", r"[a-z0-9_]{1,63}", "a role", library="pg_partman_bgw"),
    _integer("pg_stat_statements.max", "postmaster", 100, _INT_MAX // 2, library="pg_stat_statements"),
    _bool("pg_stat_statements.save", "sighup", library="pg_stat_statements"),
    _enum("pg_stat_statements.track", "superuser", ("none", "top", "all"), library="pg_stat_statements"),
    _bool("pg_stat_statements.track_planning", "superuser", library="pg_stat_statements"),
    _bool("pg_stat_statements.track_utility", "superuser", library="pg_stat_statements"),
    _string(
        "pgaudit.log",
        "superuser",
        _list_of(_PGAUDIT_CLASSES),
        "a list of pgaudit's classes such as ddl, role, write",
        library="pgaudit",
    ),
    _bool("pgaudit.log_catalog", "superuser", library="pgaudit"),
    _bool("pgaudit.log_parameter", "superuser", library="pgaudit"),
    _bool("pgaudit.log_relation", "superuser", library="pgaudit"),
    _bool("pgaudit.log_statement_once", "superuser", library="pgaudit"),
)

_ALL = (
    *_MEMORY,
    *_CONNECTIONS,
    *_TIMEOUTS,
    *_BACKGROUND_WORKERS_AND_INPUT_AND_OUTPUT,
    *_WRITE_AHEAD_LOG,
    *_PLANNER,
    *_VACUUM,
    *_STATISTICS_AND_REPORTING,
    *_SESSIONS,
    *_PRELOADING,
    *_EXTENSIONS,
)

CATALOGUE: Mapping[str, tuple[SettingRule, ...]] = MappingProxyType(
    {name: tuple(rule for rule in _ALL if rule.name == name) for name in sorted({rule.name for rule in _ALL})}
)
"""By name, every form that a setting has in the supported majors."""


def setting_rule(name: str, major: int) -> SettingRule | None:
    """The rule of `name` for PostgreSQL `major`; None when it is not one that users may set there."""
    return next((rule for rule in CATALOGUE.get(name, ()) if rule.serves(major)), None)
