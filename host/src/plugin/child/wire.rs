//! How values stand in a frame: numbers in little-endian, lists behind their count.
//!
//! What the child sends is untrusted: every count is held against the bytes that are left before
//! anything is reserved for it.

use scanhost_abi::abi_stable::std_types::RBox;
use scanhost_abi::{RNone, ROption, RResult, RSome, RString, RVec, Tuple2};

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::plugin) struct BadFrame(pub(super) &'static str);

/// What is left of a frame that is being read.
pub(super) struct Input<'a>(&'a [u8]);

/// A value that a frame can hold.
pub(super) trait Wire: Sized {
    /// The fewest bytes that one takes; at least 1.
    const LEAST: usize;

    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes one off the front.
    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame>;

    /// Appends many.
    fn put_all(items: &[Self], out: &mut Vec<u8>) {
        for item in items {
            item.put(out);
        }
    }

    /// Takes `count`, of which there is room for each.
    fn take_all(count: usize, input: &mut Input<'_>) -> Result<Vec<Self>, BadFrame> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(Self::take(input)?);
        }
        Ok(items)
    }
}

// === impl Input ===

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], BadFrame> {
        let split = self.0.split_at_checked(count);
        let (taken, rest) = split.ok_or(BadFrame("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadFrame> {
        let chunk = self.0.split_first_chunk::<N>();
        let (taken, rest) = chunk.ok_or(BadFrame("it is cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A count of values that take at least `least` bytes each.
    fn count(&mut self, least: usize) -> Result<usize, BadFrame> {
        let count = u32::take(self)? as usize;
        if count > self.0.len() / least {
            return Err(BadFrame("it counts more than it holds"));
        }
        Ok(count)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), BadFrame> {
        match self.0 {
            [] => Ok(()),
            _ => Err(BadFrame("it is longer than what it holds")),
        }
    }
}

/// A count that every list in a frame fits: a frame is shorter than that.
fn put_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).unwrap_or(u32::MAX).put(out);
}

// === impl Wire ===

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Wire for $number {
            const LEAST: usize = size_of::<Self>();

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
                Ok(Self::from_le_bytes(input.array()?))
            }
        })*
    };
}

numbers!(u16, u32, u64, i64);

impl Wire for u8 {
    const LEAST: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        let [byte] = input.array()?;
        Ok(byte)
    }

    /// Bodies: one copy.
    fn put_all(items: &[Self], out: &mut Vec<u8>) {
        out.extend_from_slice(items);
    }

    fn take_all(count: usize, input: &mut Input<'_>) -> Result<Vec<Self>, BadFrame> {
        Ok(input.bytes(count)?.to_vec())
    }
}

impl Wire for bool {
    const LEAST: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadFrame("a flag is neither set nor not")),
        }
    }
}

impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    const LEAST: usize = N * T::LEAST;

    fn put(&self, out: &mut Vec<u8>) {
        T::put_all(self, out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        let mut array = [T::default(); N];
        for item in &mut array {
            *item = T::take(input)?;
        }
        Ok(array)
    }
}

impl Wire for RString {
    const LEAST: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        let count = input.count(1)?;
        let text = std::str::from_utf8(input.bytes(count)?);
        text.map(Self::from)
            .map_err(|_| BadFrame("a text is not UTF-8"))
    }
}

impl<T: Wire> Wire for RVec<T> {
    const LEAST: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.len(), out);
        T::put_all(self, out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        let count = input.count(T::LEAST)?;
        T::take_all(count, input).map(Self::from)
    }
}

impl<A: Wire, B: Wire> Wire for Tuple2<A, B> {
    const LEAST: usize = A::LEAST + B::LEAST;

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        Ok(Self(A::take(input)?, B::take(input)?))
    }
}

impl<T: Wire> Wire for RBox<T> {
    const LEAST: usize = T::LEAST;

    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        T::take(input).map(Self::new)
    }
}

impl<T: Wire> Wire for ROption<T> {
    const LEAST: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            RNone => false.put(out),
            RSome(value) => {
                true.put(out);
                value.put(out);
            }
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        Ok(match bool::take(input)? {
            false => RNone,
            true => RSome(T::take(input)?),
        })
    }
}

impl<T: Wire, E: Wire> Wire for RResult<T, E> {
    const LEAST: usize = 2;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::ROk(value) => {
                true.put(out);
                value.put(out);
            }
            Self::RErr(error) => {
                false.put(out);
                error.put(out);
            }
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, BadFrame> {
        Ok(match bool::take(input)? {
            true => Self::ROk(T::take(input)?),
            false => Self::RErr(E::take(input)?),
        })
    }
}
