//! Reads one call after the other: the last way, and a bounded one.

use std::time::Duration;

use scanhost_plugin_api::prelude::*;

use crate::read::{Answers, Head, Question, Read};

/// Most cells in one call; a larger one is split by the host.
pub(crate) const CELLS_MAX: usize = 50;

/// Asks one by one. What was answered before the provider failed stays answered.
pub(crate) async fn ask(cx: &Cx, question: &Question<'_>) -> Result<Answers, Error> {
    let of_a_cell = |read: &&Read| !matches!(read, Read::Decimals(_));
    let cells = question.reads.iter().filter(of_a_cell).count();
    if cells > CELLS_MAX {
        let message = format!("{cells} cells one by one, at most {CELLS_MAX} fit a call");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let clock = Clock::start(cx);
    let [chain, head] = question.canaries();
    let chain: String = cx.rpc(chain).await?;
    let head = cx.rpc(head).await;
    let head: Head = head.map_err(|error| question.block.explain(error))?;
    question.check_canaries(&chain, &head)?;

    let mut amounts: Vec<Result<Amount, Error>> = Vec::with_capacity(question.reads.len());
    // A method that is not offered stops its own reads only.
    let [mut no_native, mut no_token]: [Option<Error>; 2] = [None, None];
    for read in question.reads {
        let stopped = match read.is_native() {
            true => &mut no_native,
            false => &mut no_token,
        };
        if let Some(error) = stopped {
            amounts.push(Err(error.clone()));
            continue;
        }
        if clock.is_late(cx) {
            amounts.push(Err(clock.left_over()));
            continue;
        }
        let result = cx.rpc::<String>(read.rpc(question.block)).await;
        let result = result.map_err(|error| question.block.explain(error));
        let amount = result.and_then(|result| read.parse(&result));
        match &amount {
            Err(error) if error.kind == ErrorKind::Unsupported => *stopped = Some(error.clone()),
            Err(error) if stops_all(error) => {
                no_native = Some(error.clone());
                no_token = Some(error.clone());
            }
            _ => {}
        }
        amounts.push(amount);
    }
    match first_error(&amounts) {
        Some(error) if amounts.iter().all(Result::is_err) && stops_all(error) => Err(error.clone()),
        _ => Ok(Answers {
            height: question.block.height(),
            amounts,
        }),
    }
}

fn first_error(amounts: &[Result<Amount, Error>]) -> Option<&Error> {
    amounts.iter().find_map(|amount| amount.as_ref().err())
}

/// Whether the next read would fail in the same way.
fn stops_all(error: &Error) -> bool {
    !matches!(
        error.kind,
        ErrorKind::Refused
            | ErrorKind::TooLarge
            | ErrorKind::Malformed
            | ErrorKind::Missing
            | ErrorKind::Unsupported
    )
}

/// Ends a row of requests before the host gives the whole call up and all answers are lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started_ms: u64,
}

impl Clock {
    pub(crate) fn start(cx: &Cx) -> Self {
        Self {
            started_ms: cx.host().monotonic_ms(),
        }
    }

    pub(crate) fn is_late(self, cx: &Cx) -> bool {
        let spent = cx.host().monotonic_ms().saturating_sub(self.started_ms);
        Duration::from_millis(spent) > cx.deadline() / 2
    }

    pub(crate) fn left_over(self) -> Error {
        Error::missing("not asked: the time of the call was spent on the cells before")
    }
}
