//! Frames over a socket pair.
//!
//! Sending never waits: what the socket does not take at once is kept, and whoever drives the link
//! writes it on. So a frame can be sent from a `drop`, and none is left half written.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::frames::{FRAME_MAX, Frame, LENGTH, TooLong};
use super::wire::BadFrame;

/// What is kept for a peer that does not read. More than any number of answers that are asked for
/// in good faith.
const BACKLOG_MAX: usize = 4 * FRAME_MAX;
/// A buffer that is larger is given back when it is empty.
const BUFFER_KEPT: usize = 256 * 1024;
/// Room for one read; grows with what really arrives, never with what a length promises.
const READ_MIN: usize = 16 * 1024;
const READ_MAX: usize = 1024 * 1024;

/// One end.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    backlog: Mutex<Backlog>,
    behind: Notify,
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: VecDeque<u8>,
    overrun: bool,
}

/// What has arrived and is not yet read.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
}

/// Why a link is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The other end is gone.
    #[error("the other end is closed")]
    Closed,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no frame.
    #[error("a frame cannot be read: {0}")]
    BadFrame(#[from] BadFrame),
    /// The other end asks and does not read.
    #[error("the other end does not read what it asked for")]
    Overrun,
}

// === impl Link ===

impl Link {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            backlog: Mutex::default(),
            behind: Notify::new(),
        }
    }

    /// Sends a frame; a link that is broken is found by [`Link::drive`] and by reading.
    pub(super) fn send(&self, frame: &impl Frame) -> Result<(), TooLong> {
        let bytes = frame.encode()?;
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = &*bytes;
        // Behind what is kept, nothing may overtake.
        while backlog.bytes.is_empty() && !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(_) => break,
            }
        }
        if !rest.is_empty() && !backlog.overrun {
            backlog.bytes.extend(rest);
            backlog.overrun = backlog.bytes.len() > BACKLOG_MAX;
            drop(backlog);
            self.behind.notify_one();
        }
        Ok(())
    }

    /// Writes on what was kept; ends when the link is broken.
    pub(super) async fn drive(&self) -> LinkError {
        loop {
            if !self.is_behind() {
                self.behind.notified().await;
                continue;
            }
            match self.write_on() {
                Ok(()) => continue,
                Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return error,
            }
            tokio::select! {
                writable = self.stream.writable() => if let Err(error) = writable {
                    return error.into();
                },
                // A peer that reads nothing is found by what is kept for it.
                () = self.behind.notified() => {}
            }
        }
    }

    fn is_behind(&self) -> bool {
        let backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        !backlog.bytes.is_empty()
    }

    fn write_on(&self) -> Result<(), LinkError> {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if backlog.overrun {
            return Err(LinkError::Overrun);
        }
        let written = self.stream.try_write(backlog.bytes.as_slices().0)?;
        backlog.bytes.drain(..written);
        if backlog.bytes.is_empty() {
            backlog.bytes.shrink_to(BUFFER_KEPT);
        }
        Ok(())
    }
}

// === impl Inbox ===

impl Inbox {
    /// The next frame.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next<F: Frame>(&mut self, link: &Link) -> Result<F, LinkError> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(frame);
            }
            self.make_room();
            match link.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.stream.readable().await?;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(LinkError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn cut<F: Frame>(&mut self) -> Result<Option<F>, LinkError> {
        let arrived = &self.buffer[self.start..];
        let Some((length, rest)) = arrived.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_MAX {
            return Err(BadFrame("its length is out of bounds").into());
        }
        let Some(bytes) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = F::parse(bytes)?;
        self.start += LENGTH + length;
        Ok(Some(frame))
    }

    fn make_room(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER_KEPT);
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        let room = self.buffer.len().clamp(READ_MIN, READ_MAX);
        self.buffer.reserve(room);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::ToHost;
    use super::*;
    use scanhost_abi::types::LogLevel;

    fn line(text: &str) -> ToHost {
        ToHost::Log {
            level: LogLevel::INFO,
            message: text.into(),
        }
    }

    fn pair() -> (Link, Link) {
        let (one, other) = UnixStream::pair().unwrap();
        (Link::new(one), Link::new(other))
    }

    #[tokio::test]
    async fn frames_larger_than_the_socket_arrive_whole_and_in_order() {
        let (one, other) = pair();
        let texts: Vec<_> = [10, 3_000_000, 0, 700_000, 1]
            .into_iter()
            .enumerate()
            .map(|(at, length)| at.to_string().repeat(length))
            .collect();
        for text in &texts {
            one.send(&line(text)).unwrap();
        }
        let read = async {
            let mut inbox = Inbox::default();
            for text in &texts {
                match inbox.next(&other).await.unwrap() {
                    ToHost::Log { message, .. } => assert!(message == text.as_str()),
                    frame => panic!("{frame:?}"),
                }
            }
        };
        tokio::select! {
            () = read => {}
            error = one.drive() => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn the_end_of_a_link_is_told() {
        let (one, other) = pair();
        one.send(&line("last")).unwrap();
        drop(one);
        let mut inbox = Inbox::default();
        assert!(inbox.next::<ToHost>(&other).await.is_ok());
        let end = inbox.next::<ToHost>(&other).await;
        assert!(matches!(end, Err(LinkError::Closed)), "{end:?}");
    }

    #[tokio::test]
    async fn a_length_out_of_bounds_is_no_frame() {
        let (one, other) = UnixStream::pair().unwrap();
        one.writable().await.unwrap();
        one.try_write(&u32::MAX.to_le_bytes()).unwrap();
        let read = Inbox::default().next::<ToHost>(&Link::new(other)).await;
        assert!(matches!(read, Err(LinkError::BadFrame(_))), "{read:?}");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (one, _other) = pair();
        let text = "x".repeat(FRAME_MAX / 2);
        for _ in 0..10 {
            one.send(&line(&text)).unwrap();
        }
        assert!(matches!(one.drive().await, LinkError::Overrun));
    }
}
