//! Lines of address lists that are left out, told on standard error.

use super::context::say;
use super::output;
use crate::model::ChainName;
use crate::scan::list::Remark;

/// Remarks that are told line by line; the rest is counted.
const TOLD_MAX: u64 = 20;

/// Tells the first remarks about a chain's lists, and how many more there were.
#[derive(Debug)]
pub(super) struct Remarks<'a> {
    chain: &'a ChainName,
    count: u64,
}

impl<'a> Remarks<'a> {
    pub(super) fn new(chain: &'a ChainName) -> Self {
        Self { chain, count: 0 }
    }

    pub(super) fn tell(&mut self, remark: &Remark) {
        self.count += 1;
        if self.count <= TOLD_MAX {
            let Remark {
                file,
                line,
                message,
            } = remark;
            let message = output::plain(message);
            say(&format!(
                "{}: {}:{line}: {message}",
                self.chain,
                file.display()
            ));
        }
    }

    pub(super) fn finish(self) {
        if self.count > TOLD_MAX {
            let more = self.count - TOLD_MAX;
            say(&format!("{}: {more} more lines like these", self.chain));
        }
    }
}
