//! Where foreign code enters the process.
//!
//! A library that was loaded stays mapped for ever; nothing here unloads. What lies at the
//! operator's path is never opened itself: the bytes that were judged are copied under their hash,
//! and that copy is opened, so that what was hashed is what runs, and a changed file is another
//! path (`dlopen` returns the old library for a path that it knows).
#![expect(
    unsafe_code,
    reason = "opens shared libraries; each block says who promised what"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library as OsLibrary, RTLD_LOCAL, RTLD_NOW};
use scanhost_abi::abi_stable::StableAbi;
use scanhost_abi::abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use scanhost_abi::abi_stable::library::{
    AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL,
};
use scanhost_abi::types::AbiError;
use scanhost_abi::{HostHandle, OpenRequest, ProviderObject, Root_Ref};
use sha2::{Digest, Sha256};

use super::{ErrorCode, PluginError, PluginFile};
use crate::causes::with_causes;

/// Of one whose stamp and root module differ.
pub(super) const OTHER_MANIFEST: &str =
    "the library tells another manifest than the file's section";

/// A plugin's code in this process.
#[derive(Clone)]
pub struct Library {
    root: Root_Ref,
    file: PluginFile,
}

impl Library {
    /// Loads a judged file through its private copy in `copies`.
    ///
    /// # Errors
    ///
    /// The step that failed.
    pub fn load(file: &PluginFile, copies: &Path) -> Result<Self, PluginError> {
        Self::load_copy(file, &private_copy(file, copies)?)
    }

    /// Loads the private copy of a judged file.
    pub(super) fn load_copy(file: &PluginFile, copy: &Path) -> Result<Self, PluginError> {
        let fail = |(code, message)| PluginError::new(code, &file.path, message);
        let root = enter(copy, &file.manifest_json).map_err(fail)?;
        let mut file = file.clone();
        // What is loaded is kept for ever; its bytes are not needed any more.
        file.bytes = [].into();
        Ok(Self { root, file })
    }

    /// Loads what lies at `copy` and reads the manifest that it tells. Where its pointers lie, this
    /// ends the process.
    pub(super) fn try_out(copy: &Path) -> Result<String, (ErrorCode, String)> {
        Ok(root_of(copy)?.manifest().as_str().to_owned())
    }

    /// The file it came from.
    #[must_use]
    pub fn file(&self) -> &PluginFile {
        &self.file
    }

    /// Runs the plugin's `open`. May take as long as the plugin likes: give it a thread of its own
    /// and a deadline.
    pub(super) fn open(
        &self,
        host: HostHandle,
        settings: String,
    ) -> Result<ProviderObject, String> {
        self.open_raw(host, settings)
            .map_err(|error| error.message.into_string())
    }

    /// The same, with all that the plugin says of a refusal.
    pub(super) fn open_raw(
        &self,
        host: HostHandle,
        settings: String,
    ) -> Result<ProviderObject, AbiError> {
        let open = self.root.open();
        let request = OpenRequest {
            settings: settings.into(),
            reserved: [0; 4],
        };
        open(host, request).into_result()
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library")
            .field("path", &self.file.path)
            .finish_non_exhaustive()
    }
}

/// Opens a private copy, checks the layout and takes the root module, which must tell `manifest`.
pub(super) fn enter(copy: &Path, manifest: &str) -> Result<Root_Ref, (ErrorCode, String)> {
    let root = root_of(copy)?;
    if root.manifest().as_str() != manifest {
        return Err((ErrorCode::Descriptor, OTHER_MANIFEST.to_owned()));
    }
    Ok(root)
}

/// Maps what plugins need of the system, for a process that cannot open it later.
#[cfg(target_os = "linux")]
pub(super) fn preload() {
    for name in ["libgcc_s.so.1", "libm.so.6"] {
        // SAFETY: runs the constructors of the compiler's and the C library's own libraries, which
        // this program is linked to as well.
        let library = unsafe { OsLibrary::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
        // One that is not there is not needed, or the dynamic loader says so when it is.
        let _ = library.map(std::mem::forget);
    }
}

/// The file's bytes in `copies`, under their hash.
pub(super) fn private_copy(file: &PluginFile, copies: &Path) -> Result<PathBuf, PluginError> {
    copy_to(file, copies).map_err(|error| {
        let folder = copies.display();
        let message = format!("failed to copy it to `{folder}`: {error}; is it writable?");
        PluginError::new(ErrorCode::Copy, &file.path, message)
    })
}

/// One that is there already is read back and compared, since somebody else may have put it there.
fn copy_to(file: &PluginFile, copies: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(copies)?;
    fs::set_permissions(copies, fs::Permissions::from_mode(0o700))?;
    let path = copies.join(format!("{}.so", file.sha256));
    if fs::read(&path).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == file.sha256) {
        return Ok(path);
    }
    let draft = copies.join(format!("{}.{}.draft", file.sha256, std::process::id()));
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o500)
        .open(&draft)?;
    out.write_all(&file.bytes)?;
    out.sync_all()?;
    fs::rename(&draft, &path)?;
    Ok(path)
}

/// The root module of the library at `copy`: its constructors run, its layout is checked.
fn root_of(copy: &Path) -> Result<Root_Ref, (ErrorCode, String)> {
    let header = open(copy).map_err(|message| (ErrorCode::Link, message))?;
    check_layout(header).map_err(|message| (ErrorCode::Layout, message))?;
    // SAFETY: the layout was just found compatible, in the direction that applies.
    unsafe { header.init_root_module_with_unchecked_layout::<Root_Ref>() }
        .map_err(|error| (ErrorCode::Constructor, one_line(&error)))
}

fn open(path: &Path) -> Result<&'static LibHeader, String> {
    // Resolves all symbols now, so that a missing one is an error here and no crash later.
    // SAFETY: runs the library's constructors. The operator vouches for the file: it lies in a
    // folder that only root and this user may write, and its hash may be pinned.
    let library = unsafe { OsLibrary::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| with_causes(&error))?;
    // SAFETY: a plugin exports a `LibHeader` under this name, which starts with an `AbiHeader`; the
    // symbol's address is the reference. `upgrade` checks the magic before anything else.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let header = *header.map_err(|error| with_causes(&error))?;
    // Never unloaded: what comes from it lives as long as the process.
    std::mem::forget(library);
    header.upgrade().map_err(|error| one_line(&error))
}

/// `abi_stable` lets a newer plugin into an older host, never the reverse. Both are wanted, so
/// both directions are tried: what one side has more stands behind the last prefix field and reads
/// as absent on the other.
fn check_layout(header: &LibHeader) -> Result<(), String> {
    let ours = <Root_Ref as StableAbi>::LAYOUT;
    let theirs = header
        .layout()
        .ok_or_else(|| "it tells no layout".to_owned())?;
    let Err(newer_plugin) = check_layout_compatibility(ours, theirs) else {
        return Ok(());
    };
    if check_layout_compatibility(theirs, ours).is_ok() {
        return Ok(());
    }
    tracing::debug!(error = %newer_plugin, "layouts differ in both directions");
    Err(
        "its types are laid out in another way than this host's; rebuild it against the \
         scanhost-plugin-api of this release"
            .to_owned(),
    )
}

/// `abi_stable` writes many lines; the first that says something is the message.
fn one_line(error: &LibraryError) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    tracing::debug!(error = %text, "the loader's whole message");
    lines.iter().take(2).copied().collect::<Vec<_>>().join(" ")
}
