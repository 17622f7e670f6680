//! Interim.
#![allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtectedAccess {
    No,
    Yes,
    Local,
}
#[derive(Clone, Copy, Debug)]
pub struct OutputLimit {
    pub hard_bytes: u64,
    pub soft_bytes: u64,
    pub soft_seconds: u64,
}
#[derive(Clone, Debug)]
pub struct Config {
    pub databases: i64,
    pub port: u16,
    pub bind: Vec<String>,
    pub unixsocket: String,
    pub unixsocketperm: u32,
    pub maxclients: u32,
    pub protected_mode: bool,
    pub timeout: i64,
    pub tcp_keepalive: i64,
    pub tcp_backlog: i32,
    pub proto_max_bulk_len: i64,
    pub client_query_buffer_limit: i64,
    pub client_output_buffer_limit: [OutputLimit; 3],
    pub latency_tracking: bool,
    pub latency_monitor_threshold: i64,
    pub slowlog_log_slower_than: i64,
    pub slowlog_max_len: i64,
    pub enable_debug_command: ProtectedAccess,
    pub enable_module_command: ProtectedAccess,
    pub hz: u32,
    pub dynamic_hz: bool,
    pub active_expire_effort: u32,
    pub io_threads: usize,
    pub lazyfree_lazy_expire: bool,
    pub lazyfree_lazy_user_flush: bool,
}
impl Default for Config {
    fn default() -> Config {
        Config {
            databases: 16,
            port: 6379,
            bind: vec!["127.0.0.1".into()],
            unixsocket: String::new(),
            unixsocketperm: 0,
            maxclients: 10000,
            protected_mode: true,
            timeout: 0,
            tcp_keepalive: 300,
            tcp_backlog: 511,
            proto_max_bulk_len: 512 << 20,
            client_query_buffer_limit: 1 << 30,
            client_output_buffer_limit: [OutputLimit {
                hard_bytes: 0,
                soft_bytes: 0,
                soft_seconds: 0,
            }; 3],
            latency_tracking: true,
            latency_monitor_threshold: 0,
            slowlog_log_slower_than: 10000,
            slowlog_max_len: 128,
            enable_debug_command: ProtectedAccess::Yes,
            enable_module_command: ProtectedAccess::No,
            hz: 10,
            dynamic_hz: true,
            active_expire_effort: 1,
            io_threads: 1,
            lazyfree_lazy_expire: false,
            lazyfree_lazy_user_flush: false,
        }
    }
}
