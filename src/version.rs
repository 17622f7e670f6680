//! What the server calls itself.

/// The Redis version whose commands are all there: what INFO, HELLO, LOLWUT
/// and `--version` tell, since clients choose what they use by it.
pub const REDIS_VERSION: &str = "7.0.15";

/// The version of Redstart itself.
pub const REDSTART_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name that INFO gives as `server_name`.
pub const SERVER_NAME: &str = "redstart";

/// 16 hex digits that differ between builds that differ in version or target.
pub fn build_id() -> String {
    let parts = [
        REDIS_VERSION,
        REDSTART_VERSION,
        std::env::consts::OS,
        std::env::consts::ARCH,
    ];
    // FNV-1a, which is stable between runs, unlike the standard hasher.
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The same as one number, two hexadecimal digits for each part.
pub const REDIS_VERSION_NUM: u32 = 0x0007_000f;
