//! The SQLite file: where it is, whether it is ours, who works with it.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::error::LedgerError;

/// What every SQLite database starts with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What is in the way of a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// Nothing, or an empty file.
    Empty,
    /// A file that starts like a SQLite database.
    Sqlite,
}

/// A SQLite file by its full path, so that two spellings meet at one lock.
#[derive(Clone, Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
}

/// The right to write to a store; the kernel takes it back when the process dies.
#[derive(Debug)]
pub(super) struct StoreLock {
    /// Never read: closing the file gives the lock back.
    _file: File,
}

// === impl StoreFile ===

impl StoreFile {
    /// The file that `sqlite://PATH` names; the path is taken as it stands.
    pub(super) fn from_url(rest: &str) -> Result<Self, LedgerError> {
        let reason = if rest.is_empty() {
            "`url` in [store] names no file; write for example `sqlite://scanhost.db`"
        } else if rest.contains(":memory:") {
            "a store in memory would lose every reading; name a file as `url` in [store]"
        } else if rest.contains('?') {
            "`url` in [store] takes no parameters after `?`; name the file alone"
        } else {
            return Self::new(Path::new(rest));
        };
        Err(LedgerError::Url {
            reason: reason.to_owned(),
        })
    }

    fn new(path: &Path) -> Result<Self, LedgerError> {
        if path.exists() {
            let path = fs::canonicalize(path).map_err(LedgerError::io("find", path))?;
            return Ok(Self { path });
        }
        let Some(name) = path.file_name() else {
            return Err(LedgerError::Url {
                reason: format!("`{}` names no file", path.display()),
            });
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        match fs::canonicalize(folder) {
            Ok(folder) => Ok(Self {
                path: folder.join(name),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(LedgerError::NoFolder {
                folder: folder.to_owned(),
            }),
            Err(error) => Err(LedgerError::io("find", folder)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name for messages.
    pub(super) fn display(&self) -> String {
        self.path.display().to_string()
    }

    /// A file beside the database: `<db>SUFFIX`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// The URL that sqlx opens, with `query` (`mode=ro`) behind it.
    pub(super) fn url(&self, query: &str) -> Result<String, LedgerError> {
        let Some(path) = self.path.to_str() else {
            return Err(LedgerError::Url {
                reason: format!("the path `{}` is not UTF-8", self.path.display()),
            });
        };
        let mut url = String::from("sqlite://");
        for byte in path.bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' => url.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
                _ => {
                    // Infallible: a String takes everything.
                    let _ = write!(url, "%{byte:02X}");
                }
            }
        }
        url.push('?');
        url.push_str(query);
        Ok(url)
    }

    /// Looks at the first bytes without going through SQLite, which might write.
    pub(super) fn state(&self) -> Result<FileState, LedgerError> {
        let not_a_store = |reason: &str| {
            Err(LedgerError::NotAStore {
                path: self.path.clone(),
                reason: reason.to_owned(),
            })
        };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FileState::Empty),
            Err(error) => return Err(LedgerError::io("open", &self.path)(error)),
        };
        let metadata = file
            .metadata()
            .map_err(LedgerError::io("look at", &self.path))?;
        if !metadata.is_file() {
            return not_a_store("it is not a file");
        }
        let mut head = Vec::with_capacity(MAGIC.len());
        file.take(MAGIC.len() as u64)
            .read_to_end(&mut head)
            .map_err(LedgerError::io("read", &self.path))?;
        if head.is_empty() {
            return Ok(FileState::Empty);
        }
        if head == MAGIC {
            return Ok(FileState::Sqlite);
        }
        not_a_store("it is not a SQLite database")
    }

    /// Whether changes wait in a log beside the file.
    pub(super) fn has_log(&self) -> bool {
        fs::metadata(self.beside("-wal")).is_ok_and(|log| log.len() > 0)
    }

    /// Takes the right to write, or says who has it.
    pub(super) fn lock(&self) -> Result<StoreLock, LedgerError> {
        let path = self.beside(".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(LedgerError::io("open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let pid = match file.read_to_string(&mut pid) {
                    Ok(_) => pid.trim(),
                    Err(_) => "",
                };
                return Err(LedgerError::Locked {
                    path: self.path.clone(),
                    holder: match pid {
                        "" => "another process".to_owned(),
                        pid => format!("process {pid}"),
                    },
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(LedgerError::io("lock", &path)(error));
            }
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        written.map_err(LedgerError::io("write the lock", &path))?;
        Ok(StoreLock { _file: file })
    }
}
