//! Figures of processes from `/proc`, and the bench's own core and file limit.
//!
//! CPU time comes from `schedstat`, which counts nanoseconds: `stat` counts ticks of 10 ms, too
//! coarse for rounds of one second.

use std::fs;
use std::ops::Sub;

use super::Result;

/// What the threads of a process took from the processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// Nanoseconds on a core.
    pub busy_ns: u64,
    /// Nanoseconds ready to run while something else had the core: a sign of a noisy machine.
    pub queued_ns: u64,
}

impl Sub for CpuTime {
    type Output = CpuTime;

    fn sub(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            queued_ns: self.queued_ns.saturating_sub(earlier.queued_ns),
        }
    }
}

/// The sum over all live threads of process `pid`.
///
/// Exact when the process sleeps, up to one scheduler tick behind while it runs: ask between
/// rounds, when every reply has arrived.
pub fn cpu_time(pid: u32) -> Result<CpuTime> {
    let mut sum = CpuTime::default();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // The thread ended between the listing and the reading.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        };
        let mut fields = text.split_whitespace().map(str::parse::<u64>);
        match (fields.next(), fields.next()) {
            (Some(Ok(busy_ns)), Some(Ok(queued_ns))) => {
                sum.busy_ns += busy_ns;
                sum.queued_ns += queued_ns;
            }
            _ => return Err(format!("{}: unexpected text {text:?}", path.display()).into()),
        }
    }
    Ok(sum)
}

/// Resident bytes of process `pid` (`VmRSS`).
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("no VmRSS in /proc/PID/status")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// Pins the calling thread to `core`.
pub fn pin_to_core(core: usize) -> Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    if core >= rustix::thread::CpuSet::MAX_CPU {
        return Err(format!("no core {core}").into());
    }
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores)
        .map_err(|error| format!("cannot pin the generator to core {core}: {error}").into())
}

/// Raises the limit of open files to at least `files`; fails when the hard limit is below.
pub fn raise_file_limit(files: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // None means unlimited.
    if limit.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(files),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("{files} open files needed, limit {limit:?}: {error}").into())
}
