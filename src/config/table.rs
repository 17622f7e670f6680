//! Every directive of the server: field, type, default, name, old name, kind,
//! bounds, flags, effect. Everything else is derived from these rows.
//!
//! Names, defaults and bounds are those of Redis 7.0.15; `io-backend` is ours.

use super::directive::*;
use super::types::*;
use super::{check, default_bind, default_save, special};

directives! {
    // Network.
    /// Addresses that the server listens on; a leading `-` makes an address that is not there no
    /// error. Empty: no TCP at all.
    bind: Vec<Vec<u8>> = default_bind(), "bind" special(special::BIND) MULTI => Bind;
    /// Local address of outgoing connections.
    bind_source_addr: Vec<u8> = Vec::new(), "bind-source-addr" option() LATER;
    /// TCP port; 0: no TCP.
    port: u16 = 6379, "port" int(0, 65535) 0 => Port;
    /// Refuse clients of other machines while there is no password.
    protected_mode: bool = true, "protected-mode" yes_no() 0;
    /// Connections waiting to be accepted.
    tcp_backlog: u32 = 511, "tcp-backlog" int(0, i32::MAX) IMMUTABLE;
    /// Seconds between keepalive probes; 0: none.
    tcp_keepalive_s: u32 = 300, "tcp-keepalive" int(0, i32::MAX) 0;
    /// Idle seconds after which a client is closed; 0: never.
    timeout_s: u32 = 0, "timeout" int(0, i32::MAX) 0;
    /// Path of the unix socket; empty: none.
    unixsocket: Vec<u8> = Vec::new(), "unixsocket" option() IMMUTABLE;
    /// Mode of the unix socket; 0: as the umask gives.
    unixsocketperm: u32 = 0, "unixsocketperm" octal(0, 0o777) IMMUTABLE;
    /// Mark of the listening sockets for the firewall; 0: none.
    socket_mark_id: u32 = 0, "socket-mark-id" unsigned(0, u32::MAX) IMMUTABLE | LATER;
    /// Clients at a time.
    maxclients: u32 = 10000, "maxclients" unsigned(1, u32::MAX) 0 => MaxClients;
    /// Threads that read, parse and write.
    io_threads: u32 = 1, "io-threads" int(1, 128) IMMUTABLE;
    /// Accepted for compatibility: I/O threads always read and parse.
    io_threads_do_reads: bool = false, "io-threads-do-reads" yes_no() IMMUTABLE;
    /// What waits for sockets. Hidden from patterns: tools that write back all that CONFIG GET *
    /// shows know which of Redis's names are immutable, but not ours.
    io_backend: IoBackend = IoBackend::Auto, "io-backend" one_of(check::io_backend) IMMUTABLE | HIDDEN;

    // TLS.
    /// TCP port of TLS; 0: none.
    tls_port: u16 = 0, "tls-port" int(0, 65535) LATER => TlsPort;
    /// Certificate, PEM.
    tls_cert_file: Vec<u8> = Vec::new(), "tls-cert-file" option() VOLATILE | LATER => Tls;
    /// Private key, PEM.
    tls_key_file: Vec<u8> = Vec::new(), "tls-key-file" option() VOLATILE | LATER => Tls;
    /// Passphrase of the private key.
    tls_key_file_pass: Vec<u8> = Vec::new(), "tls-key-file-pass" option() LATER => Tls;
    /// Certificate for outgoing connections.
    tls_client_cert_file: Vec<u8> = Vec::new(),
        "tls-client-cert-file" option() VOLATILE | LATER => Tls;
    /// Private key for outgoing connections.
    tls_client_key_file: Vec<u8> = Vec::new(),
        "tls-client-key-file" option() VOLATILE | LATER => Tls;
    /// Passphrase of that key.
    tls_client_key_file_pass: Vec<u8> = Vec::new(),
        "tls-client-key-file-pass" option() LATER => Tls;
    /// Diffie-Hellman parameters.
    tls_dh_params_file: Vec<u8> = Vec::new(), "tls-dh-params-file" option() VOLATILE | LATER => Tls;
    /// Trusted certificates, one file.
    tls_ca_cert_file: Vec<u8> = Vec::new(), "tls-ca-cert-file" option() VOLATILE | LATER => Tls;
    /// Trusted certificates, a directory.
    tls_ca_cert_dir: Vec<u8> = Vec::new(), "tls-ca-cert-dir" option() VOLATILE | LATER => Tls;
    /// Whether clients must show a certificate.
    tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes, "tls-auth-clients" one_of() LATER;
    /// TLS to masters.
    tls_replication: bool = false, "tls-replication" yes_no() LATER => Tls;
    /// TLS on the cluster bus.
    tls_cluster: bool = false, "tls-cluster" yes_no() LATER => Tls;
    /// Protocol versions allowed; empty: the library's choice.
    tls_protocols: Vec<u8> = Vec::new(), "tls-protocols" option() LATER => Tls;
    /// Ciphers up to TLS 1.2; empty: the library's choice.
    tls_ciphers: Vec<u8> = Vec::new(), "tls-ciphers" option() LATER => Tls;
    /// Cipher suites of TLS 1.3; empty: the library's choice.
    tls_ciphersuites: Vec<u8> = Vec::new(), "tls-ciphersuites" option() LATER => Tls;
    /// The server's order of ciphers wins.
    tls_prefer_server_ciphers: bool = false, "tls-prefer-server-ciphers" yes_no() LATER => Tls;
    /// Sessions may be resumed.
    tls_session_caching: bool = true, "tls-session-caching" yes_no() LATER => Tls;
    /// Sessions kept; 0: no limit.
    tls_session_cache_size: u32 = 20480, "tls-session-cache-size" int(0, i32::MAX) LATER => Tls;
    /// Seconds for which a session is kept.
    tls_session_cache_timeout_s: u32 = 300,
        "tls-session-cache-timeout" int(0, i32::MAX) LATER => Tls;

    // General.
    /// Run in the background.
    daemonize: bool = false, "daemonize" yes_no() IMMUTABLE;
    /// Who is told that the server is ready.
    supervised: Supervised = Supervised::No, "supervised" one_of() IMMUTABLE;
    /// File with the process id; empty: none, or [`DEFAULT_PID_FILE`] when daemonized.
    pidfile: Vec<u8> = Vec::new(), "pidfile" option() IMMUTABLE;
    /// Least important messages logged.
    loglevel: LogLevel = LogLevel::Notice, "loglevel" one_of() 0;
    /// Log file; empty: standard output.
    logfile: Vec<u8> = Vec::new(), "logfile" text() IMMUTABLE;
    /// Log to syslog too.
    syslog_enabled: bool = false, "syslog-enabled" yes_no() IMMUTABLE;
    /// Name in syslog.
    syslog_ident: Vec<u8> = b"redis".to_vec(), "syslog-ident" text() IMMUTABLE;
    /// Facility in syslog.
    syslog_facility: SyslogFacility = SyslogFacility::Local0, "syslog-facility" one_of() IMMUTABLE;
    /// Log a report when the server crashes.
    crash_log_enabled: bool = true, "crash-log-enabled" yes_no() 0 => CrashLog;
    /// Test memory after a crash.
    crash_memcheck_enabled: bool = true, "crash-memcheck-enabled" yes_no() LATER;
    /// Exit instead of abort on a failed assertion, for tests.
    use_exit_on_panic: bool = false, "use-exit-on-panic" yes_no() HIDDEN | LATER;
    /// Number of databases.
    databases: u32 = 16, "databases" int(1, i32::MAX) IMMUTABLE;
    /// Print the logo even when the output is no terminal.
    always_show_logo: bool = false, "always-show-logo" yes_no() IMMUTABLE;
    /// Change the process title.
    set_proc_title: bool = true, "set-proc-title" yes_no() IMMUTABLE;
    /// What the process title says.
    proc_title_template: Vec<u8> = b"{title} {listen-addr} {server-mode}".to_vec(),
        "proc-title-template" text(check::proc_title_template) 0 => ProcTitle;
    /// System checks whose failure is no reason to stop.
    ignore_warnings: Vec<u8> = Vec::new(), "ignore-warnings" text() LATER;
    /// Working directory, absolute once loaded.
    dir: Vec<u8> = Vec::new(), "dir" special(special::DIR) PROTECTED | DENY_LOADING;
    /// Turns of the periodic tasks in a second, 1 to 500.
    hz: i32 = 10, "hz" int(0, i32::MAX) 0 => Hz;
    /// More turns when many clients are connected.
    dynamic_hz: bool = true, "dynamic-hz" yes_no() 0;
    /// Seconds to wait for replicas on shutdown.
    shutdown_timeout_s: u32 = 10, "shutdown-timeout" int(0, i32::MAX) 0;
    /// What SIGINT does.
    shutdown_on_sigint: ShutdownFlags = ShutdownFlags(0),
        "shutdown-on-sigint" one_of(check::shutdown_flags) MULTI;
    /// What SIGTERM does.
    shutdown_on_sigterm: ShutdownFlags = ShutdownFlags(0),
        "shutdown-on-sigterm" one_of(check::shutdown_flags) MULTI;
    /// How the kernel's out-of-memory score is set.
    oom_score_adj: OomScoreAdj = OomScoreAdj::No, "oom-score-adj" one_of() 0 => OomScore;
    /// Scores of master, replica and background child.
    oom_score_adj_values: [i32; 3] = [0, 200, 800],
        "oom-score-adj-values" special(special::OOM_SCORE_ADJ_VALUES) MULTI => OomScore;
    /// Turn transparent huge pages off for this process.
    disable_thp: bool = true, "disable-thp" yes_no() IMMUTABLE;
    /// Log where the server hangs for longer than this; 0: off.
    watchdog_period_ms: u32 = 0, "watchdog-period" int(0, i32::MAX) HIDDEN => Watchdog;
    /// Processors of the server and its I/O threads.
    server_cpulist: Vec<u8> = Vec::new(), "server_cpulist" option() IMMUTABLE | LATER;
    /// Processors of the background threads.
    bio_cpulist: Vec<u8> = Vec::new(), "bio_cpulist" option() IMMUTABLE | LATER;
    /// Processors of an AOF rewrite.
    aof_rewrite_cpulist: Vec<u8> = Vec::new(), "aof_rewrite_cpulist" option() IMMUTABLE | LATER;
    /// Processors of a snapshot.
    bgsave_cpulist: Vec<u8> = Vec::new(), "bgsave_cpulist" option() IMMUTABLE | LATER;

    // Security.
    /// Password of the default user; empty: none.
    requirepass: Vec<u8> = Vec::new(), "requirepass" secret() SENSITIVE => RequirePass;
    /// File of ACL users; empty: none.
    aclfile: Vec<u8> = Vec::new(), "aclfile" text() IMMUTABLE;
    /// Channels of new ACL users.
    acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::Resetchannels,
        "acl-pubsub-default" one_of() 0;
    /// Entries of the ACL log.
    acllog_max_len: u64 = 128, "acllog-max-len" int(0, i64::MAX) 0;
    /// Who may set `dir` and `dbfilename`.
    enable_protected_configs: Protected = Protected::No,
        "enable-protected-configs" one_of() IMMUTABLE;
    /// Who may use DEBUG.
    enable_debug_command: Protected = Protected::No, "enable-debug-command" one_of() IMMUTABLE;
    /// Who may use MODULE.
    enable_module_command: Protected = Protected::No, "enable-module-command" one_of() IMMUTABLE;

    // Limits.
    /// Memory for data and clients; 0: no limit.
    maxmemory_bytes: u64 = 0, "maxmemory" unsigned_memory(0, u64::MAX) 0 => MaxMemory;
    /// What gives way at the limit.
    maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::Noeviction,
        "maxmemory-policy" one_of() 0;
    /// Keys looked at to find one to evict.
    maxmemory_samples: u32 = 5, "maxmemory-samples" int(1, i32::MAX) 0;
    /// How much time eviction takes, 0 to 100.
    maxmemory_eviction_tenacity: u32 = 10, "maxmemory-eviction-tenacity" int(0, 100) 0;
    /// Memory of all clients together; 0: no limit, negative: percent of `maxmemory`.
    maxmemory_clients: i64 = 0,
        "maxmemory-clients" memory_or_percent(-100, i64::MAX) 0 => MaxMemoryClients;
    /// How slowly the access counter grows.
    lfu_log_factor: u32 = 10, "lfu-log-factor" int(0, i32::MAX) 0;
    /// Minutes after which the access counter loses one.
    lfu_decay_min: u32 = 1, "lfu-decay-time" int(0, i32::MAX) 0;
    /// Unparsed input that a client may have.
    client_query_buffer_limit_bytes: u64 = 1 << 30,
        "client-query-buffer-limit" unsigned_memory(1 << 20, i64::MAX) 0;
    /// Length of one argument.
    proto_max_bulk_bytes: u64 = 512 << 20, "proto-max-bulk-len" memory(1 << 20, i64::MAX) 0;
    /// Replies that a client may leave unread: normal clients, replicas, subscribers.
    client_output_buffer_limits: [OutputBufferLimit; 3] = OUTPUT_BUFFER_LIMITS,
        "client-output-buffer-limit" special(special::CLIENT_OUTPUT_BUFFER_LIMIT) MULTI;
    /// Keys remembered for client-side caching; 0: no limit.
    tracking_table_max_keys: u64 = 1_000_000, "tracking-table-max-keys" unsigned(0, i64::MAX) 0;
    /// Milliseconds after which a slow script makes others see BUSY.
    busy_reply_threshold_ms: i64 = 5000,
        "busy-reply-threshold" ["lua-time-limit"] int(0, i64::MAX) 0;

    // Expiry and freeing.
    /// Work put into finding expired keys, 1 to 10.
    active_expire_effort: u32 = 1, "active-expire-effort" int(1, 10) 0;
    /// Free evicted values in the background.
    lazyfree_lazy_eviction: bool = false, "lazyfree-lazy-eviction" yes_no() 0;
    /// Free expired values in the background.
    lazyfree_lazy_expire: bool = false, "lazyfree-lazy-expire" yes_no() 0;
    /// Free overwritten values in the background.
    lazyfree_lazy_server_del: bool = false, "lazyfree-lazy-server-del" yes_no() 0;
    /// DEL works as UNLINK.
    lazyfree_lazy_user_del: bool = false, "lazyfree-lazy-user-del" yes_no() 0;
    /// FLUSHALL and FLUSHDB are ASYNC when not told otherwise.
    lazyfree_lazy_user_flush: bool = false, "lazyfree-lazy-user-flush" yes_no() 0;
    /// Grow tables in idle time too.
    activerehashing: bool = true, "activerehashing" yes_no() LATER;

    // Observing.
    /// Microseconds from which a command is logged; -1: none.
    slowlog_slower_than_us: i64 = 10000, "slowlog-log-slower-than" int(-1, i64::MAX) 0;
    /// Entries of the slow log.
    slowlog_max_len: u64 = 128, "slowlog-max-len" int(0, i64::MAX) 0;
    /// Milliseconds from which an event is recorded; 0: none.
    latency_monitor_threshold_ms: i64 = 0, "latency-monitor-threshold" int(0, i64::MAX) 0;
    /// Keep a latency histogram for each command.
    latency_tracking: bool = true, "latency-tracking" yes_no() 0;
    /// Percentiles that INFO shows.
    latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],
        "latency-tracking-info-percentiles" special(special::LATENCY_PERCENTILES) MULTI;
    /// Event classes that are published, `class::*` bits; 0: none.
    notify_keyspace_events: u32 = 0,
        "notify-keyspace-events" special(special::NOTIFY_KEYSPACE_EVENTS) 0;

    // Data types.
    /// Fields of a hash in one listpack.
    hash_max_listpack_entries: u64 = 512,
        "hash-max-listpack-entries" ["hash-max-ziplist-entries"] unsigned(0, i64::MAX) 0;
    /// Longest field or value of such a hash.
    hash_max_listpack_value_bytes: u64 = 64,
        "hash-max-listpack-value" ["hash-max-ziplist-value"] unsigned_memory(0, i64::MAX) 0;
    /// Elements of a list node, or with -1 to -5 its bytes: 4 to 64 kb.
    list_max_listpack_size: i32 = -2,
        "list-max-listpack-size" ["list-max-ziplist-size"] int(i32::MIN, i32::MAX) 0;
    /// List nodes at each end that are not compressed; 0: none is.
    list_compress_depth: u32 = 0, "list-compress-depth" int(0, i32::MAX) 0;
    /// Members of a set of integers in one intset.
    set_max_intset_entries: u64 = 512, "set-max-intset-entries" unsigned(0, i64::MAX) 0;
    /// Members of a sorted set in one listpack.
    zset_max_listpack_entries: u64 = 128,
        "zset-max-listpack-entries" ["zset-max-ziplist-entries"] unsigned(0, i64::MAX) 0;
    /// Longest member of such a sorted set.
    zset_max_listpack_value_bytes: u64 = 64,
        "zset-max-listpack-value" ["zset-max-ziplist-value"] unsigned_memory(0, i64::MAX) 0;
    /// Size up to which a HyperLogLog is sparse.
    hll_sparse_max_bytes: u64 = 3000, "hll-sparse-max-bytes" unsigned_memory(0, i64::MAX) 0;
    /// Bytes of a stream node; 0: no limit.
    stream_node_max_bytes: u64 = 4096, "stream-node-max-bytes" unsigned_memory(0, i64::MAX) 0;
    /// Entries of a stream node; 0: no limit.
    stream_node_max_entries: i64 = 100, "stream-node-max-entries" int(0, i64::MAX) 0;
    /// Whose payloads count as checked in depth (all are).
    sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::No,
        "sanitize-dump-payload" one_of() 0;

    // Snapshots.
    /// When a snapshot is taken by itself; empty: never.
    save: Vec<SavePoint> = default_save(), "save" special(special::SAVE) MULTI;
    /// Snapshot's file name in `dir`.
    dbfilename: Vec<u8> = b"dump.rdb".to_vec(),
        "dbfilename" text(check::dbfilename) PROTECTED;
    /// Compress strings.
    rdbcompression: bool = true, "rdbcompression" yes_no() 0;
    /// Put a CRC64 at the end.
    rdbchecksum: bool = true, "rdbchecksum" yes_no() IMMUTABLE;
    /// Delete files that only replication needed.
    rdb_del_sync_files: bool = false, "rdb-del-sync-files" yes_no() LATER;
    /// Force to disk as the file is written.
    rdb_save_incremental_fsync: bool = true, "rdb-save-incremental-fsync" yes_no() 0;
    /// Refuse writes after a failed snapshot.
    stop_writes_on_bgsave_error: bool = true, "stop-writes-on-bgsave-error" yes_no() 0;
    /// Microseconds lost for each key saved, for tests; negative: keys for each microsecond.
    rdb_key_save_delay_us: i32 = 0, "rdb-key-save-delay" int(i32::MIN, i32::MAX) HIDDEN;
    /// Microseconds lost for each key loaded, for tests; negative: keys for each microsecond.
    key_load_delay_us: i32 = 0, "key-load-delay" int(i32::MIN, i32::MAX) HIDDEN;
    /// Bytes loaded between two looks at the clients.
    loading_process_events_interval_bytes: i64 = 2 << 20,
        "loading-process-events-interval-bytes" int(1024, i32::MAX) HIDDEN | LATER;

    // Append-only file.
    /// Log every write.
    appendonly: bool = false, "appendonly" yes_no() DENY_LOADING => AppendOnly;
    /// Prefix of the log's file names.
    appendfilename: Vec<u8> = b"appendonly.aof".to_vec(),
        "appendfilename" text(check::appendfilename) IMMUTABLE;
    /// The log's directory in `dir`.
    appenddirname: Vec<u8> = b"appendonlydir".to_vec(),
        "appenddirname" text(check::appenddirname) IMMUTABLE;
    /// When the log is forced to disk.
    appendfsync: AppendFsync = AppendFsync::Everysec, "appendfsync" one_of() 0;
    /// Not while a snapshot or rewrite runs.
    no_appendfsync_on_rewrite: bool = false, "no-appendfsync-on-rewrite" yes_no() 0;
    /// Growth since the last rewrite that starts the next; 0: never.
    auto_aof_rewrite_percentage: u32 = 100, "auto-aof-rewrite-percentage" int(0, i32::MAX) 0;
    /// Size below which none starts.
    auto_aof_rewrite_min_bytes: u64 = 64 << 20,
        "auto-aof-rewrite-min-size" memory(0, i64::MAX) 0;
    /// Start with a log whose end is missing.
    aof_load_truncated: bool = true, "aof-load-truncated" yes_no() 0;
    /// Rewrite into a snapshot.
    aof_use_rdb_preamble: bool = true, "aof-use-rdb-preamble" yes_no() 0;
    /// Note the time in the log.
    aof_timestamp_enabled: bool = false, "aof-timestamp-enabled" yes_no() 0;
    /// Force to disk as a rewrite is written.
    aof_rewrite_incremental_fsync: bool = true, "aof-rewrite-incremental-fsync" yes_no() 0;
    /// Keep files that are no longer needed.
    aof_disable_auto_gc: bool = false, "aof-disable-auto-gc" yes_no() 0 => AofGc;

    // Replication.
    /// The master; none: this is one.
    replicaof: Option<MasterAddress> = None,
        "replicaof" ["slaveof"] special(special::REPLICAOF) IMMUTABLE | MULTI | LATER;
    /// Password for the master.
    masterauth: Vec<u8> = Vec::new(), "masterauth" secret() SENSITIVE | LATER;
    /// ACL user for the master.
    masteruser: Vec<u8> = Vec::new(), "masteruser" option() SENSITIVE | LATER;
    /// Answer while the master is away.
    replica_serve_stale_data: bool = true,
        "replica-serve-stale-data" ["slave-serve-stale-data"] yes_no() LATER;
    /// Refuse writes of clients.
    replica_read_only: bool = true, "replica-read-only" ["slave-read-only"] yes_no() LATER;
    /// Leave eviction to the master.
    replica_ignore_maxmemory: bool = true,
        "replica-ignore-maxmemory" ["slave-ignore-maxmemory"] yes_no() LATER;
    /// Go on when the disk fails.
    replica_ignore_disk_write_errors: bool = false,
        "replica-ignore-disk-write-errors" yes_no() LATER;
    /// Free the old data in the background.
    replica_lazy_flush: bool = false, "replica-lazy-flush" ["slave-lazy-flush"] yes_no() LATER;
    /// Order of promotion, lowest first; 0: never.
    replica_priority: u32 = 100, "replica-priority" ["slave-priority"] int(0, i32::MAX) LATER;
    /// Sentinel reports this replica.
    replica_announced: bool = true, "replica-announced" yes_no() LATER;
    /// Address told to the master.
    replica_announce_ip: Vec<u8> = Vec::new(),
        "replica-announce-ip" ["slave-announce-ip"] option() LATER;
    /// Port told to the master.
    replica_announce_port: u16 = 0,
        "replica-announce-port" ["slave-announce-port"] int(0, 65535) LATER;
    /// Send full synchronisations without a file.
    repl_diskless_sync: bool = true, "repl-diskless-sync" yes_no() LATER;
    /// Seconds to wait for more replicas.
    repl_diskless_sync_delay_s: u32 = 5, "repl-diskless-sync-delay" int(0, i32::MAX) LATER;
    /// Replicas that end the wait; 0: no number does.
    repl_diskless_sync_max_replicas: u32 = 0,
        "repl-diskless-sync-max-replicas" int(0, i32::MAX) LATER;
    /// How a full synchronisation is loaded.
    repl_diskless_load: ReplDisklessLoad = ReplDisklessLoad::Disabled,
        "repl-diskless-load" one_of() DENY_LOADING | LATER;
    /// Bigger packets, later.
    repl_disable_tcp_nodelay: bool = false, "repl-disable-tcp-nodelay" yes_no() LATER;
    /// Seconds between pings of a master.
    repl_ping_replica_period_s: u32 = 10,
        "repl-ping-replica-period" ["repl-ping-slave-period"] int(1, i32::MAX) LATER;
    /// Seconds of silence that end a link.
    repl_timeout_s: u32 = 60, "repl-timeout" int(1, i32::MAX) LATER;
    /// Stream kept for replicas that come back.
    repl_backlog_bytes: u64 = 1 << 20, "repl-backlog-size" memory(1, i64::MAX) LATER => ReplBacklog;
    /// Seconds without replicas after which it is freed; 0: never.
    repl_backlog_ttl_s: i64 = 3600, "repl-backlog-ttl" int(0, i64::MAX) LATER;
    /// Replicas needed to accept writes; 0: none.
    min_replicas_to_write: u32 = 0,
        "min-replicas-to-write" ["min-slaves-to-write"] int(0, i32::MAX) LATER => GoodReplicas;
    /// Lag up to which a replica counts.
    min_replicas_max_lag_s: u32 = 10,
        "min-replicas-max-lag" ["min-slaves-max-lag"] int(0, i32::MAX) LATER => GoodReplicas;
    /// What to do when a replicated command fails.
    propagation_error_behavior: PropagationError = PropagationError::Ignore,
        "propagation-error-behavior" one_of() 0;

    // Cluster.
    /// Run as a cluster node.
    cluster_enabled: bool = false, "cluster-enabled" yes_no() IMMUTABLE | LATER;
    /// The node's own file.
    cluster_config_file: Vec<u8> = b"nodes.conf".to_vec(),
        "cluster-config-file" text() IMMUTABLE | LATER;
    /// Port of the bus; 0: `port` + 10000.
    cluster_port: u16 = 0, "cluster-port" int(0, 65535) IMMUTABLE | LATER;
    /// Milliseconds after which a silent node counts as failed.
    cluster_node_timeout_ms: i64 = 15000, "cluster-node-timeout" int(0, i64::MAX) LATER;
    /// Replicas that a master keeps when one migrates.
    cluster_migration_barrier: u32 = 1, "cluster-migration-barrier" int(0, i32::MAX) LATER;
    /// Replicas move to masters without any.
    cluster_allow_replica_migration: bool = true, "cluster-allow-replica-migration" yes_no() LATER;
    /// How old a replica's data may be to be promoted.
    cluster_replica_validity_factor: u32 = 10,
        "cluster-replica-validity-factor" ["cluster-slave-validity-factor"] int(0, i32::MAX) LATER;
    /// Never promoted by itself.
    cluster_replica_no_failover: bool = false,
        "cluster-replica-no-failover" ["cluster-slave-no-failover"] yes_no() LATER => ClusterFlags;
    /// Refuse queries while a slot is not served.
    cluster_require_full_coverage: bool = true, "cluster-require-full-coverage" yes_no() LATER;
    /// Except reads.
    cluster_allow_reads_when_down: bool = false, "cluster-allow-reads-when-down" yes_no() LATER;
    /// Except sharded publish and subscribe.
    cluster_allow_pubsubshard_when_down: bool = true,
        "cluster-allow-pubsubshard-when-down" yes_no() LATER;
    /// Send buffer of a bus link; 0: no limit.
    cluster_link_sendbuf_limit_bytes: u64 = 0,
        "cluster-link-sendbuf-limit" unsigned_memory(0, u64::MAX) LATER;
    /// Address told to others.
    cluster_announce_ip: Vec<u8> = Vec::new(), "cluster-announce-ip" option() LATER => ClusterIp;
    /// Host name told to others.
    cluster_announce_hostname: Vec<u8> = Vec::new(),
        "cluster-announce-hostname" option(check::hostname) LATER => ClusterHostname;
    /// Port told to others.
    cluster_announce_port: u16 = 0, "cluster-announce-port" int(0, 65535) LATER => ClusterPorts;
    /// TLS port told to others.
    cluster_announce_tls_port: u16 = 0,
        "cluster-announce-tls-port" int(0, 65535) LATER => ClusterPorts;
    /// Bus port told to others.
    cluster_announce_bus_port: u16 = 0,
        "cluster-announce-bus-port" int(0, 65535) LATER => ClusterPorts;
    /// What clients are told to connect to.
    cluster_preferred_endpoint_type: ClusterEndpoint = ClusterEndpoint::Ip,
        "cluster-preferred-endpoint-type" one_of() LATER;

    // Memory.
    /// Move values together.
    activedefrag: bool = false, "activedefrag" yes_no(check::activedefrag) 0;
    /// Waste below which nothing is done.
    active_defrag_ignore_bytes: u64 = 100 << 20,
        "active-defrag-ignore-bytes" unsigned_memory(1, i64::MAX) 0;
    /// Percent of waste that starts it.
    active_defrag_threshold_lower: u32 = 10, "active-defrag-threshold-lower" int(0, 1000) 0;
    /// Percent of waste with full effort.
    active_defrag_threshold_upper: u32 = 100, "active-defrag-threshold-upper" int(0, 1000) 0;
    /// Percent of a processor at the lower threshold.
    active_defrag_cycle_min: u32 = 1, "active-defrag-cycle-min" int(1, 99) 0;
    /// Percent of a processor at the upper threshold.
    active_defrag_cycle_max: u32 = 25, "active-defrag-cycle-max" int(1, 99) 0;
    /// Elements of a value up to which it is done in one go.
    active_defrag_max_scan_fields: u64 = 1000,
        "active-defrag-max-scan-fields" int(1, i64::MAX) 0;
    /// The allocator gives memory back in threads of its own.
    jemalloc_bg_thread: bool = true, "jemalloc-bg-thread" yes_no() 0 => AllocatorThreads;
}
