//! What the log says at the start about settings of the machine that memory
//! depends on. Nothing is said of those that only matter to servers that fork.

use super::system;
use crate::config::Config;
use crate::stats::memory;

/// Switches huge pages off for this process, if so configured, and logs advice.
pub(super) fn give(config: &Config) {
    let switched_off = config.disable_thp && system::disable_huge_pages();
    if !switched_off && memory::huge_pages_unasked() {
        tracing::warn!(
            "WARNING The kernel gives out transparent huge pages unasked, which makes memory use \
             jump. Leave disable-thp on, or run 'echo madvise > \
             /sys/kernel/mm/transparent_hugepage/enabled' as root."
        );
    }
    if memory::overcommit_is_refused() {
        tracing::warn!(
            "WARNING The kernel does not overcommit memory (vm.overcommit_memory is 2): memory \
             that the allocator only keeps in reserve counts, and the server may end for lack of \
             it. 'sysctl vm.overcommit_memory=1' changes that; it need not be 1 for saving."
        );
    }
    let (limit, machine) = (config.maxmemory_bytes, memory::system_bytes());
    if machine > 0 && limit > machine {
        tracing::warn!(
            "WARNING maxmemory is {limit} bytes, but the machine has only {machine}: before the \
             limit holds, memory is swapped out, or the kernel ends the server."
        );
    }
}
