//! Layer 0: what a plugin file says of itself before any of its code runs.
//!
//! The bytes of one [`Stamp`] lie in section [`SECTION`] of the file: a header of fixed size, then
//! the manifest as JSON. No pointers (they are zero before relocation), little-endian on every
//! supported machine. The layout is frozen for ever; a reader checks `magic` and `header_size`,
//! then may read what it knows.

/// Where the stamp lies.
pub const SECTION: &str = if cfg!(target_os = "macos") {
    "__DATA,__scanhost"
} else {
    ".scanhost"
};

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"SCANHST1";

/// `flags`: panics unwind in this build.
pub const FLAG_UNWIND: u32 = 1;
/// `flags`: a debug build.
pub const FLAG_DEBUG: u32 = 1 << 1;

/// Largest manifest that a host reads, in bytes.
pub const MANIFEST_MAX: usize = 256 * 1024;

/// The ABI's major: another one never loads.
pub const ABI_MAJOR: u16 = parse(env!("CARGO_PKG_VERSION_MAJOR"));
/// The ABI's minor: any other one of the same major loads.
pub const ABI_MINOR: u16 = parse(env!("CARGO_PKG_VERSION_MINOR"));

/// The part of fixed size, as it lies in the file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Bytes from the start to the manifest.
    pub header_size: u32,
    /// Bytes of the manifest.
    pub manifest_size: u32,
    /// The ABI that the plugin was built against.
    pub abi_major: u16,
    /// The ABI that the plugin was built against.
    pub abi_minor: u16,
    /// Bits `FLAG_*`.
    pub flags: u32,
    /// What `rustc --version` said, zero-padded.
    pub rustc: [u8; 80],
    /// The target triple, zero-padded.
    pub target: [u8; 64],
}

/// Bytes of a [`Header`].
pub const HEADER_SIZE: usize = size_of::<Header>();

const _: () = assert!(HEADER_SIZE == 168, "the layout of layer 0 is frozen");

/// Header and manifest, the contents of the section.
#[repr(C)]
#[derive(Debug)]
pub struct Stamp<const N: usize> {
    header: Header,
    manifest: [u8; N],
}

impl<const N: usize> Stamp<N> {
    /// The stamp of the crate that is being compiled; `unwind` and `debug` are what `cfg!` says
    /// there.
    ///
    /// # Panics
    ///
    /// While compiling, when the manifest is larger than [`MANIFEST_MAX`].
    #[must_use]
    pub const fn new(manifest: [u8; N], unwind: bool, debug: bool) -> Self {
        assert!(N <= MANIFEST_MAX, "the manifest is larger than 256 KiB");
        let unwind = if unwind { FLAG_UNWIND } else { 0 };
        let debug = if debug { FLAG_DEBUG } else { 0 };
        #[expect(clippy::cast_possible_truncation, reason = "N is at most MANIFEST_MAX")]
        let manifest_size = N as u32;
        #[expect(clippy::cast_possible_truncation, reason = "168")]
        let header_size = HEADER_SIZE as u32;
        Self {
            header: Header {
                magic: MAGIC,
                header_size,
                manifest_size,
                abi_major: ABI_MAJOR,
                abi_minor: ABI_MINOR,
                flags: unwind | debug,
                rustc: padded(env!("SCANHOST_RUSTC")),
                target: padded(env!("SCANHOST_TARGET")),
            },
            manifest,
        }
    }

    /// The manifest's bytes.
    #[must_use]
    pub const fn manifest(&self) -> &[u8] {
        &self.manifest
    }
}

/// What a reader finds in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampView<'a> {
    /// The ABI that the plugin was built against.
    pub abi: (u16, u16),
    /// Panics unwind.
    pub unwind: bool,
    /// A debug build.
    pub debug: bool,
    /// What `rustc --version` said.
    pub rustc: &'a str,
    /// The target triple.
    pub target: &'a str,
    /// The manifest, JSON as UTF-8.
    pub manifest: &'a str,
}

/// Reads the bytes of a section.
///
/// # Errors
///
/// What is wrong with the bytes, as the end of a sentence.
pub fn read(bytes: &[u8]) -> Result<StampView<'_>, &'static str> {
    let field = |at: usize, size: usize| bytes.get(at..at + size).ok_or("its stamp is cut short");
    let u16_at = |at| field(at, 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let u32_at =
        |at| field(at, 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let text_at = |at, size| {
        let bytes: &[u8] = field(at, size)?;
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).map_err(|_| "its stamp is not text where it should be")
    };
    if field(0, 8)? != MAGIC {
        return Err("its stamp does not start with the magic bytes");
    }
    let header_size = u32_at(8)? as usize;
    let manifest_size = u32_at(12)? as usize;
    if header_size < HEADER_SIZE || manifest_size > MANIFEST_MAX {
        return Err("its stamp has impossible sizes");
    }
    let flags = u32_at(20)?;
    let manifest = field(header_size, manifest_size)?;
    Ok(StampView {
        abi: (u16_at(16)?, u16_at(18)?),
        unwind: flags & FLAG_UNWIND != 0,
        debug: flags & FLAG_DEBUG != 0,
        rustc: text_at(24, 80)?,
        target: text_at(104, 64)?,
        manifest: std::str::from_utf8(manifest).map_err(|_| "its manifest is not UTF-8")?,
    })
}

const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut out = [0; N];
    let mut at = 0;
    while at < bytes.len() && at < N {
        out[at] = bytes[at];
        at += 1;
    }
    out
}

const fn parse(digits: &str) -> u16 {
    let bytes = digits.as_bytes();
    let mut value = 0;
    let mut at = 0;
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0') as u16;
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<const N: usize>(stamp: &Stamp<N>) -> Vec<u8> {
        let Header {
            magic,
            header_size,
            manifest_size,
            abi_major,
            abi_minor,
            flags,
            rustc,
            target,
        } = stamp.header;
        let mut bytes = magic.to_vec();
        bytes.extend(header_size.to_le_bytes());
        bytes.extend(manifest_size.to_le_bytes());
        bytes.extend(abi_major.to_le_bytes());
        bytes.extend(abi_minor.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(rustc);
        bytes.extend(target);
        bytes.extend(stamp.manifest());
        bytes
    }

    #[test]
    fn a_stamp_reads_back() {
        let bytes = bytes_of(&Stamp::new(*b"{}", true, false));
        let view = read(&bytes).unwrap();
        assert_eq!(view.abi, (ABI_MAJOR, ABI_MINOR));
        assert_eq!(
            (view.unwind, view.debug, view.manifest),
            (true, false, "{}")
        );
        assert!(view.rustc.starts_with("rustc 1."), "{}", view.rustc);
    }

    #[test]
    fn a_damaged_stamp_is_told_not_followed() {
        let good = bytes_of(&Stamp::new(*b"{}", true, false));
        for cut in 0..good.len() {
            assert!(read(&good[..cut]).is_err(), "cut at {cut} was read");
        }
        let mut lying = good.clone();
        lying[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&lying), Err("its stamp has impossible sizes"));
        let mut other = good;
        other[0] = b'X';
        assert!(read(&other).is_err());
    }
}
