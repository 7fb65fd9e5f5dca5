//! Resource limits, which every kernel has.

use std::fs;
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

/// Descriptors that the process may have open: its own are few, and a library being opened is one.
const FILES_MAX: u64 = 64;
/// The stack of the one thread.
const STACK_MAX: u64 = 8 * 1024 * 1024;
/// What a process of ours has mapped where the kernel does not tell.
const MAPPED_GUESS: u64 = 256 * 1024 * 1024;

/// Has the kernel kill this process when its parent ends, even while a plugin hangs.
pub(super) fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Sets every limit; what is told is the memory.
pub(super) fn set(memory_max: u64) -> Result<String, String> {
    // Read first: what is not dumpable may not read its own `/proc`.
    let mapped = mapped().unwrap_or(MAPPED_GUESS);
    let limits = [
        (Resource::As, mapped.saturating_add(memory_max)),
        (Resource::Stack, STACK_MAX),
        (Resource::Nofile, FILES_MAX),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
    ];
    let failed = |error: rustix::io::Errno| {
        format!("limits of memory and files cannot be set ({error}): it can take all there is")
    };
    for (resource, limit) in limits {
        let inherited = rustix::process::getrlimit(resource).maximum;
        let limit = Some(limit.min(inherited.unwrap_or(u64::MAX)));
        let limit = Rlimit {
            current: limit,
            maximum: limit,
        };
        rustix::process::setrlimit(resource, limit).map_err(failed)?;
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)?;
    rustix::thread::set_no_new_privs(true).map_err(failed)?;
    Ok(format!("{} MiB of memory", memory_max / (1024 * 1024)))
}

/// Bytes of address space that the process has.
fn mapped() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}
