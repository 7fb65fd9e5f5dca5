//! What a plugin's file asks of the system although the host does it for plugins.
//!
//! Read from the file's dynamic symbols and its list of libraries; nothing of it runs. This finds
//! what came in by accident, with a dependency that brings its own network for one, and names it. It
//! is no sandbox: whoever means harm makes system calls without importing anything. A process of its
//! own is what holds such a plugin.

use std::fmt;

use object::read::Object;

/// Why a plugin has no business with what it imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Sockets and names: requests go through the host.
    Network,
    /// Other processes, and signals to them.
    Processes,
    /// More code at run time, which nobody has judged.
    Loading,
    /// The memory of other processes.
    Tracing,
    /// A shared library that is not the system's own.
    Library,
}

/// Something that no plugin needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Import {
    /// Why not.
    pub group: Group,
    /// The symbol, or the library's name.
    pub name: String,
}

const NETWORK: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "freeaddrinfo",
    "getaddrinfo",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname2",
    "getnameinfo",
    "getpeername",
    "getsockname",
    "listen",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "socket",
    "socketpair",
];

const PROCESSES: &[&str] = &[
    "_Fork",
    "clone",
    "clone3",
    "daemon",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "fexecve",
    "fork",
    "forkpty",
    "kill",
    "killpg",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "system",
    "vfork",
    "waitpid",
];

const LOADING: &[&str] = &["dlmopen", "dlopen"];

const TRACING: &[&str] = &["process_vm_readv", "process_vm_writev", "ptrace"];

/// Libraries that bring nothing that is not judged by its symbols. What follows is a version.
const LIBRARIES: &[&str] = &[
    "ld-linux-aarch64.so",
    "ld-linux-x86-64.so",
    "libSystem.B.dylib",
    "libc.so",
    "libdl.so",
    "libgcc_s.so",
    "libm.so",
    "libpthread.so",
    "librt.so",
];

// === impl Group ===

impl Group {
    /// The word that stands behind the symbols.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Processes => "processes",
            Self::Loading => "loading of code",
            Self::Tracing => "tracing",
            Self::Library => "library",
        }
    }

    fn of_symbol(symbol: &str) -> Option<Self> {
        let groups = [
            (NETWORK, Self::Network),
            (PROCESSES, Self::Processes),
            (LOADING, Self::Loading),
            (TRACING, Self::Tracing),
        ];
        groups
            .into_iter()
            .find(|(symbols, _)| symbols.contains(&symbol))
            .map(|(_, group)| group)
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.group.as_str())
    }
}

/// What the library with these bytes imports and no plugin needs, by group and name.
///
/// # Errors
///
/// The bytes cannot be read as a library, as the end of a sentence.
pub fn audit(bytes: &[u8]) -> Result<Vec<Import>, String> {
    let unreadable = |error: object::Error| format!("its imports cannot be read: {error}");
    let file = object::File::parse(bytes).map_err(unreadable)?;
    let mut found = Vec::new();
    let mut any = false;
    for import in file.imports().map_err(unreadable)? {
        any = true;
        let import = import.map_err(unreadable)?;
        // Only Windows has symbols without a name.
        let object::read::NameOrOrdinal::Name(symbol) = import.name() else {
            continue;
        };
        let symbol = String::from_utf8_lossy(symbol);
        // Mach-O writes an underscore before what C calls a name.
        let symbol = match file.format() {
            object::BinaryFormat::MachO => symbol.strip_prefix('_').unwrap_or(&symbol),
            _ => &symbol,
        };
        found.extend(Group::of_symbol(symbol).map(|group| Import {
            group,
            name: symbol.to_owned(),
        }));
    }
    if !any {
        // There is no library without any; this one hides them.
        return Err("its imports cannot be read: there are none".to_owned());
    }
    for library in file.import_libraries().map_err(unreadable)? {
        let library = library.map_err(unreadable)?;
        let name = String::from_utf8_lossy(library.name());
        if !is_system_library(&name) {
            found.push(Import {
                group: Group::Library,
                name: name.into_owned(),
            });
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// `libc.so.6` and `/usr/lib/libSystem.B.dylib` are, `/tmp/libc.so.6` is not.
fn is_system_library(name: &str) -> bool {
    let name = name.strip_prefix("/usr/lib/").unwrap_or(name);
    LIBRARIES.iter().any(|known| {
        let version = name.strip_prefix(known);
        version.is_some_and(|version| version.is_empty() || version.starts_with('.'))
    })
}

/// One line: `` `connect`, `socket` (network); `libcurl.so.4` (library) ``.
#[must_use]
pub fn told(imports: &[Import]) -> String {
    let groups = imports.chunk_by(|one, other| one.group == other.group);
    let groups: Vec<String> = groups
        .map(|imports| {
            let names: Vec<_> = imports.iter().map(|it| format!("`{}`", it.name)).collect();
            let group = imports.first().map_or("", |it| it.group.as_str());
            format!("{} ({group})", names.join(", "))
        })
        .collect();
    groups.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_network_is_told_so() {
        // This test's own program has all of the host in it.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = audit(&own).unwrap();
        let has = |group, name: &str| {
            let name = name.to_owned();
            found.contains(&Import { group, name })
        };
        assert!(has(Group::Network, "socket"), "{found:?}");
        assert!(has(Group::Network, "connect"), "{found:?}");
        assert!(!found.iter().any(|it| it.name == "malloc"), "{found:?}");
        assert!(!found.iter().any(|it| it.group == Group::Library));
        assert!(told(&found).contains("`socket`"), "{}", told(&found));
        assert!(told(&found).contains("(network)"), "{}", told(&found));
    }

    #[test]
    fn groups_are_told_once_each() {
        let import = |group, name: &str| Import {
            group,
            name: name.to_owned(),
        };
        let imports = [
            import(Group::Network, "connect"),
            import(Group::Network, "socket"),
            import(Group::Library, "libcurl.so.4"),
        ];
        let expected = "`connect`, `socket` (network); `libcurl.so.4` (library)";
        assert_eq!(told(&imports), expected);
        assert_eq!(told(&[]), "");
    }

    #[test]
    fn the_system_s_own_libraries_are_known_by_their_whole_name() {
        for good in ["libc.so.6", "libm.so", "/usr/lib/libSystem.B.dylib"] {
            assert!(is_system_library(good), "{good}");
        }
        for bad in ["libcurl.so.4", "libc.so6", "/tmp/libc.so.6", "libc", ""] {
            assert!(!is_system_library(bad), "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_library_are_an_error() {
        for bytes in [&b""[..], b"hello", b"\x7fELF\x02\x01\x01"] {
            assert!(audit(bytes).unwrap_err().contains("cannot be read"));
        }
    }
}
