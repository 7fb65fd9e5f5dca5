//! The checksum of descriptors, BIP 380.

const INPUT: &str = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~\
                     ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
const CHECKSUM: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const LENGTH: u32 = 8;

/// The checksum of a descriptor; `None` where it has a character that none has.
pub(super) fn checksum(descriptor: &str) -> Option<String> {
    let (mut sum, mut class, mut count) = (1_u64, 0, 0);
    for char in descriptor.chars() {
        let place = u64::try_from(INPUT.find(char)?).ok()?;
        sum = step(sum, place & 31);
        class = class * 3 + (place >> 5);
        count += 1;
        if count == 3 {
            sum = step(sum, class);
            (class, count) = (0, 0);
        }
    }
    if count > 0 {
        sum = step(sum, class);
    }
    for _ in 0..LENGTH {
        sum = step(sum, 0);
    }
    sum ^= 1;
    let symbol = |at: u32| {
        let place = (sum >> (5 * (LENGTH - 1 - at))) & 31;
        // Five bits.
        CHECKSUM[usize::try_from(place).unwrap_or(0)] as char
    };
    Some((0..LENGTH).map(symbol).collect())
}

fn step(sum: u64, value: u64) -> u64 {
    const GENERATOR: [u64; 5] = [
        0xf5_dee5_1989,
        0xa9_fdca_3312,
        0x1b_ab10_e32d,
        0x37_06b1_677a,
        0x64_4d62_6ffd,
    ];
    let top = sum >> 35;
    let shifted = ((sum & 0x7_ffff_ffff) << 5) ^ value;
    let bits = GENERATOR.iter().enumerate();
    bits.filter(|(bit, _)| (top >> bit) & 1 == 1)
        .fold(shifted, |sum, (_, generator)| sum ^ generator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_of_the_bip() {
        // BIP 380's only valid one.
        assert_eq!(checksum("raw(deadbeef)").as_deref(), Some("89f8spxm"));
        assert_ne!(checksum("raw(deedbeef)").as_deref(), Some("89f8spxm"));
        assert_eq!(checksum("raw(Ü)"), None);
    }
}
