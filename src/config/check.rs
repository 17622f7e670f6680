//! Checks of single directives beyond type and bounds, with Redis's texts.

use super::directive::Refusal;
use super::types::{Choice, IoBackend, ShutdownFlags};
use super::{Config, title};

type Checked = Result<(), Refusal>;

fn ensure(valid: bool, refusal: &'static str) -> Checked {
    if valid { Ok(()) } else { Err(refusal.into()) }
}

/// This build has no io_uring driver: asking for it by name must not end in
/// silence on epoll.
pub(super) fn io_backend(code: u32) -> Checked {
    ensure(
        IoBackend::from_code(code) != IoBackend::IoUring,
        "io_uring is not available in this build, use auto or epoll",
    )
}

pub(super) fn shutdown_flags(code: u32) -> Checked {
    let flags = ShutdownFlags::from_code(code);
    ensure(
        !(flags.has(ShutdownFlags::SAVE) && flags.has(ShutdownFlags::NOSAVE)),
        "shutdown options SAVE and NOSAVE can't be used simultaneously",
    )
}

/// The text is what Redis says where the allocator cannot defragment: tools
/// look for it.
pub(super) fn activedefrag(on: bool) -> Checked {
    ensure(
        !on || crate::util::relocate::SUPPORTED,
        "Active defragmentation cannot be enabled: it requires a Redis server compiled \
         with a modified Jemalloc like the one shipped by default with the Redis source \
         distribution",
    )
}

pub(super) fn proc_title_template(config: &Config, template: &[u8]) -> Checked {
    let title = title::expand(config, template, b"");
    ensure(
        title.is_some_and(|title| !title.is_empty()),
        "template format is invalid or contains unknown variables",
    )
}

fn is_base_name(name: &[u8]) -> bool {
    !name.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

pub(super) fn dbfilename(_: &Config, name: &[u8]) -> Checked {
    ensure(
        is_base_name(name),
        "dbfilename can't be a path, just a filename",
    )
}

pub(super) fn appendfilename(_: &Config, name: &[u8]) -> Checked {
    ensure(!name.is_empty(), "appendfilename can't be empty")?;
    ensure(
        is_base_name(name),
        "appendfilename can't be a path, just a filename",
    )
}

pub(super) fn appenddirname(_: &Config, name: &[u8]) -> Checked {
    ensure(!name.is_empty(), "appenddirname can't be empty")?;
    ensure(
        is_base_name(name),
        "appenddirname can't be a path, just a dirname",
    )
}

pub(super) fn hostname(_: &Config, name: &[u8]) -> Checked {
    ensure(
        name.len() < 256,
        "Hostnames must be less than 256 characters",
    )?;
    ensure(
        name.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')),
        "Hostnames may only contain alphanumeric characters, hyphens or dots",
    )
}
