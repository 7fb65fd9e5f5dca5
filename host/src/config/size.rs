//! Amounts of memory: a whole number and a unit.

use super::leaf::{Leaf, quoted};
use super::reader::Item;

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Bytes, as the configuration writes them: `512MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl std::fmt::Display for ByteSize {
    /// In the largest unit that keeps it whole.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = UNITS.iter().rev();
        let mut whole = units.filter(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match whole.next() {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl Leaf for ByteSize {
    fn read(item: &Item<'_>) -> Option<Self> {
        let Some(text) = item.text() else {
            return item.expected("a size like \"512MiB\"");
        };
        match parse(text) {
            Ok(size) => Some(size),
            Err(wrong) => item.wrong(format_args!(
                "expected a size like \"512MiB\", but {text:?} {wrong}"
            )),
        }
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

fn parse(text: &str) -> Result<ByteSize, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("starts with no number");
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err("has no unit (KiB, MiB, GiB)");
    }
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err("has an unknown unit (known are KiB, MiB, GiB)");
    };
    let number = number.parse::<u64>().ok();
    let total = number.and_then(|number| number.checked_mul(*bytes));
    // What a file can be long, and no memory is.
    total
        .filter(|total| i64::try_from(*total).is_ok())
        .map(ByteSize)
        .ok_or("is more than there can be")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print_alike() {
        let check = |text: &str, bytes: u64, printed: &str| {
            let size = parse(text).unwrap();
            assert_eq!((size.0, &*size.to_string()), (bytes, printed), "{text}");
        };
        check("1KiB", 1_024, "1KiB");
        check("512 MiB", 512 << 20, "512MiB");
        check("1024MiB", 1 << 30, "1GiB");
        check("1536MiB", 1536 << 20, "1536MiB");
    }

    #[test]
    fn a_size_needs_a_number_and_a_unit() {
        for bad in [
            "",
            "MiB",
            "512",
            "1.5GiB",
            "-1MiB",
            "512MB",
            "512m",
            "99999999999GiB",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} was taken for a size");
        }
    }
}
