//! A plugin's file, judged without running any of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::read::{Object, ObjectSection};
use scanhost_abi::stamp;
use sha2::{Digest, Sha256};

use super::audit::{self, Import};
use super::manifest::Manifest;
use super::{ErrorCode, PluginError};

/// A library larger than this is not read.
const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// Compilers whose output is not loaded, with the reason.
const BAD_COMPILERS: &[(&str, &str)] = &[(
    "rustc 1.98.0",
    "it miscompiles vtables; use 1.98.1 or newer",
)];

/// A file that says it is a plugin for this host and this machine.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The manifest's text; the library must say the same.
    pub manifest_json: String,
    /// The ABI that it was built against, as `major.minor`.
    pub abi: String,
    /// Who compiled it.
    pub rustc: String,
    /// For which machine.
    pub target: String,
    /// A debug build.
    pub debug: bool,
    /// What it imports although the host does it for plugins.
    pub imports: Vec<Import>,
    pub(super) bytes: std::sync::Arc<[u8]>,
}

impl PluginFile {
    /// Reads and judges the file at `path`. No code of it runs.
    ///
    /// # Errors
    ///
    /// The first step that fails.
    pub fn read(path: &Path) -> Result<Self, PluginError> {
        let fail = |code, message: String| PluginError::new(code, path, message);
        let unreadable = |error: std::io::Error| fail(ErrorCode::Unreadable, error.to_string());
        let metadata = fs::metadata(path).map_err(unreadable)?;
        check_permissions(path, &metadata)
            .map_err(|message| fail(ErrorCode::Permissions, message))?;
        if !metadata.is_file() || metadata.len() > SIZE_MAX {
            let message = "not a file of at most 256 MiB".to_owned();
            return Err(fail(ErrorCode::NotALibrary, message));
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        Self::from_bytes(path, bytes)
    }

    fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, PluginError> {
        let fail = |code, message: String| PluginError::new(code, path, message);
        let section = stamp_section(&bytes).map_err(|(code, message)| fail(code, message))?;
        let view = stamp::read(section).map_err(|why| fail(ErrorCode::BadManifest, why.into()))?;
        check_stamp(&view).map_err(|(code, message)| fail(code, message))?;
        let manifest = Manifest::parse(view.manifest)
            .map_err(|message| fail(ErrorCode::BadManifest, message))?;
        if let Some(feature) = manifest.features.first() {
            let message = format!("it needs the host feature `{feature}`; use a newer Scanhost");
            return Err(fail(ErrorCode::HostFeature, message));
        }
        let imports =
            audit::audit(&bytes).map_err(|message| fail(ErrorCode::NotALibrary, message))?;
        Ok(Self {
            path: path.to_owned(),
            sha256: hex::encode(Sha256::digest(&bytes)),
            manifest,
            manifest_json: view.manifest.to_owned(),
            abi: format!("{}.{}", view.abi.0, view.abi.1),
            rustc: view.rustc.to_owned(),
            target: view.target.to_owned(),
            debug: view.debug,
            imports,
            bytes: bytes.into(),
        })
    }

    /// Refuses the file when its hash is not the pinned one (`sha256:` and 64 hex digits).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::HashMismatch`], with both hashes.
    pub fn check_pin(&self, pin: &str) -> Result<(), PluginError> {
        let pinned = pin.trim().trim_start_matches("sha256:");
        if pinned.eq_ignore_ascii_case(&self.sha256) {
            return Ok(());
        }
        let message = format!(
            "pinned as sha256:{pinned}, but the file is sha256:{}; if you changed it, change \
             [plugins.pin], or run `scanhost plugins lock`",
            self.sha256
        );
        Err(PluginError::new(
            ErrorCode::HashMismatch,
            &self.path,
            message,
        ))
    }
}

/// Nobody but root and ourselves may be able to change what we are about to run.
fn check_permissions(path: &Path, file: &fs::Metadata) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = fs::metadata(folder).map_err(|error| error.to_string())?;
    let ours = rustix::process::geteuid().as_raw();
    for (what, metadata) in [("the file", file), ("its folder", &folder)] {
        if metadata.mode() & 0o002 != 0 {
            return Err(format!(
                "{what} is writable by everyone; run `chmod o-w` on it"
            ));
        }
        if metadata.uid() != 0 && metadata.uid() != ours {
            let owner = metadata.uid();
            return Err(format!(
                "{what} belongs to user {owner}, neither root nor this user"
            ));
        }
    }
    Ok(())
}

fn stamp_section(bytes: &[u8]) -> Result<&[u8], (ErrorCode, String)> {
    let not_a_library = |what: String| (ErrorCode::NotALibrary, what);
    let file = object::File::parse(bytes)
        .map_err(|error| not_a_library(format!("not a shared library: {error}")))?;
    let wanted = if cfg!(target_arch = "x86_64") {
        object::Architecture::X86_64
    } else {
        object::Architecture::Aarch64
    };
    if file.architecture() != wanted {
        let found = file.architecture();
        let message = format!("built for {found:?}, this machine is {wanted:?}; rebuild it here");
        return Err(not_a_library(message));
    }
    if file.kind() != object::ObjectKind::Dynamic {
        return Err(not_a_library(
            "an object file, but not a shared library".into(),
        ));
    }
    // Mach-O names the section without its segment.
    let name = stamp::SECTION.rsplit(',').next().unwrap_or(stamp::SECTION);
    let section = file.section_by_name(name).ok_or_else(|| {
        let message = "a shared library, but not a Scanhost plugin (it has no `.scanhost` section)";
        (ErrorCode::NotAPlugin, message.to_owned())
    })?;
    section
        .data()
        .map_err(|error| not_a_library(format!("cut short: {error}")))
}

fn check_stamp(view: &stamp::StampView<'_>) -> Result<(), (ErrorCode, String)> {
    let (major, minor) = view.abi;
    if major != stamp::ABI_MAJOR {
        let (ours, our_minor) = (stamp::ABI_MAJOR, stamp::ABI_MINOR);
        let message = format!(
            "built for ABI {major}.{minor}, this host has {ours}.{our_minor}; rebuild it against \
             scanhost-plugin-api for ABI {ours}"
        );
        return Err((ErrorCode::AbiMajor, message));
    }
    for (compiler, why) in BAD_COMPILERS {
        let rest = view.rustc.strip_prefix(compiler);
        if rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit())) {
            let message = format!("built by {}: {why}", view.rustc);
            return Err((ErrorCode::Compiler, message));
        }
    }
    if !view.unwind {
        let message = "built with `panic = \"abort\"`, so that a panic would end the host; build \
                       it with `panic = \"unwind\"`";
        return Err((ErrorCode::PanicMode, message.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(name: &str, bytes: &[u8]) -> PluginError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        PluginFile::read(&path).unwrap_err()
    }

    #[test]
    fn what_is_no_library_is_named() {
        assert_eq!(read("text.so", b"hello\n").code, ErrorCode::NotALibrary);
        assert_eq!(read("empty.so", b"").code, ErrorCode::NotALibrary);
        assert_eq!(
            read("elf.so", b"\x7fELF\x02\x01\x01").code,
            ErrorCode::NotALibrary
        );
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(
            read("cut.so", &own[..own.len() / 2]).code,
            ErrorCode::NotALibrary
        );
        assert_eq!(read("program.so", &own).code, ErrorCode::NotAPlugin);
        let missing = PluginFile::read(Path::new("/nowhere/x.so")).unwrap_err();
        assert_eq!(missing.code, ErrorCode::Unreadable);
    }

    #[test]
    fn what_everyone_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        fs::write(&path, b"x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let error = PluginFile::read(&path).unwrap_err();
        assert_eq!(error.code, ErrorCode::Permissions);
        assert!(error.message.contains("the file is writable"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = PluginFile::read(&path).unwrap_err();
        assert!(error.message.contains("its folder is writable"), "{error}");
    }

    #[test]
    fn stamps_are_judged() {
        let good = stamp::StampView {
            abi: (stamp::ABI_MAJOR, stamp::ABI_MINOR + 7),
            unwind: true,
            debug: false,
            rustc: "rustc 1.95.0 (x)",
            target: "",
            manifest: "",
        };
        let code = |view: &stamp::StampView<'_>| check_stamp(view).err().map(|(code, _)| code);
        assert_eq!(code(&good), None);
        let other = stamp::StampView {
            abi: (2, 0),
            ..good.clone()
        };
        assert_eq!(code(&other), Some(ErrorCode::AbiMajor));
        let abort = stamp::StampView {
            unwind: false,
            ..good.clone()
        };
        assert_eq!(code(&abort), Some(ErrorCode::PanicMode));
        let bad = stamp::StampView {
            rustc: "rustc 1.98.0 (x)",
            ..good.clone()
        };
        assert_eq!(code(&bad), Some(ErrorCode::Compiler));
        let fixed = stamp::StampView {
            rustc: "rustc 1.98.1 (x)",
            ..good
        };
        assert_eq!(code(&fixed), None);
    }
}
