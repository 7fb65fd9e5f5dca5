//! What a plugin's own process may do: compute, talk to the host through one socket, and nothing
//! else.
//!
//! The order matters. First what the process was born with is taken away ([`detach`]). Then, still
//! without any code of the plugin, what a plugin needs of the system is mapped, limits are set,
//! Landlock leaves one file readable, the plugin's, and a filter leaves the system calls that
//! computing takes ([`confine`]). Only then the library is opened, whose constructors are the
//! plugin's first code; after that no file can be opened at all ([`seal`]).
//!
//! The process has one thread and cannot make another, so a plugin uses no more than one core, and
//! that only while a call is under way.
#![expect(
    unsafe_code,
    reason = "closes what was inherited and ignores signals; each block says why it may"
)]

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::child::Confinement;

#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod paths;

/// Takes the socket off standard input, and everything else that the process inherited away from
/// it: open files, the terminal's signals, being readable by other processes, outliving its parent.
///
/// # Errors
///
/// Standard input is no socket: the process was not started by the host.
pub(super) fn detach() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), FIRST_OWN)?;
    let socket = UnixStream::from(socket);
    socket.peer_addr()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    close_inherited(&socket)?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // The host decides when a child ends: whoever stops the service signals all its processes.
        // SAFETY: no handler is installed, the signal is ignored.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    #[cfg(target_os = "linux")]
    limits::die_with_parent()?;
    Ok(socket)
}

/// The first descriptor behind the three standard ones.
const FIRST_OWN: i32 = 3;

/// Closes every descriptor but the standard ones and `kept`: what was open in the shell that
/// started the host, for one.
fn close_inherited(kept: &UnixStream) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    let open: Vec<i32> = fs::read_dir("/dev/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open {
        if fd >= FIRST_OWN && fd != kept.as_raw_fd() {
            // SAFETY: nothing in this process owns it: the process has just begun, and the listing's
            // own descriptor is closed already.
            let _ = unsafe { libc::close(fd) };
        }
    }
    Ok(())
}

/// Confines the process to `plugin`, readable, and `memory_max` bytes more than it has now.
#[cfg(target_os = "linux")]
pub(super) fn confine(plugin: &Path, memory_max: u64) -> Confinement {
    let mut found = Confinement::default();
    super::loader::preload();
    note(&mut found, limits::set(memory_max));
    note(&mut found, paths::restrict_to(plugin));
    note(&mut found, filter::install());
    found
}

/// Tells that nothing of it is to be had here.
#[cfg(not(target_os = "linux"))]
pub(super) fn confine(_plugin: &Path, _memory_max: u64) -> Confinement {
    let lacks = "this system offers no confinement: a plugin in a process of its own can crash \
                 alone, and reach files and network as Scanhost can";
    Confinement {
        lacks: vec![lacks.into()].into(),
        ..Confinement::default()
    }
}

/// Takes the last file away, now that the library is in.
///
/// # Errors
///
/// The filter is not taken, although the first one was.
pub(super) fn seal(found: &Confinement) -> Result<(), String> {
    #[cfg(target_os = "linux")]
    if found.holds.iter().any(|held| held == filter::HELD) {
        return filter::seal();
    }
    let _ = found;
    Ok(())
}

/// `Ok` is what holds, `Err` is what does not and what that means.
#[cfg(target_os = "linux")]
fn note(found: &mut Confinement, outcome: Result<String, String>) {
    match outcome {
        Ok(held) => found.holds.push(held.into()),
        Err(lacking) => found.lacks.push(lacking.into()),
    }
}
