//! The answer while it grows.

use scanhost_plugin_api::{Amount, Balances, Cell, Error, Mark, Readings};

/// The readings, and whether anything was answered at all.
pub(crate) struct Answers {
    readings: Readings,
    answered: bool,
    failure: Option<Error>,
}

impl Answers {
    pub(crate) fn new(request: &Balances) -> Self {
        Self {
            readings: Readings::new(request),
            answered: false,
            failure: None,
        }
    }

    pub(crate) fn at(&mut self, slot: u64) {
        self.readings.at(Mark {
            height: Some(slot),
            block_hash: None,
        });
    }

    /// The node answered about this cell.
    pub(crate) fn settle(&mut self, cell: Cell<'_>, amount: Result<Amount, Error>) {
        self.answered = true;
        self.readings.settle(cell, amount);
    }

    pub(crate) fn invalid(&mut self, cell: Cell<'_>, error: &Error) {
        self.answered = true;
        self.readings.invalid(cell, error);
    }

    /// The request that this cell was in failed.
    pub(crate) fn fail(&mut self, cell: Cell<'_>, error: &Error) {
        self.failure.get_or_insert_with(|| error.clone());
        self.readings.unknown(cell, error);
    }

    pub(crate) fn finish(self) -> Result<Readings, Error> {
        match self.failure {
            Some(error) if !self.answered => Err(error),
            _ => Ok(self.readings),
        }
    }
}
