//! Which state of the chain a call reads, and what a node means that does not read it.

use std::borrow::Cow;

use scanhost_plugin_api::prelude::*;

/// The block parameter of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// The node's own choice: `latest`, `safe`, `finalized`.
    Tag(&'static str),
    /// This one and no other.
    At(u64),
}

impl Block {
    pub(crate) fn of(request: &Balances) -> Self {
        match (request.at_height(), request.commitment()) {
            (Some(height), _) => Self::At(height),
            (None, Commitment::Latest) => Self::Tag("latest"),
            (None, Commitment::Confirmed) => Self::Tag("safe"),
            (None, Commitment::Finalized) => Self::Tag("finalized"),
        }
    }

    /// As JSON-RPC has it.
    pub(crate) fn param(self) -> Cow<'static, str> {
        match self {
            Self::Tag(tag) => tag.into(),
            Self::At(height) => format!("{height:#x}").into(),
        }
    }

    /// For messages.
    pub(crate) fn named(self) -> Cow<'static, str> {
        match self {
            Self::Tag(tag) => format!("`{tag}` block").into(),
            Self::At(_) => "block".into(),
        }
    }

    /// The height of all amounts whose calls named it.
    pub(crate) fn height(self) -> Option<u64> {
        match self {
            Self::Tag(_) => None,
            Self::At(height) => Some(height),
        }
    }

    /// What an error means that was given for a block asked for by its height: neither a node that
    /// is not there yet nor one that forgot the state has failed.
    pub(crate) fn explain(self, error: Error) -> Error {
        let Self::At(height) = self else {
            return error;
        };
        let told = matches!(
            error.kind,
            ErrorKind::ServerError | ErrorKind::Refused | ErrorKind::TooLarge
        );
        if error.code.is_none() || !told {
            return error;
        }
        let text = error.message.to_ascii_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|needle| text.contains(needle));
        let forgotten = match newest_told(&text) {
            Some(newest) => newest >= height,
            // geth says "… state 0x… is not available, not found": forgetting goes first.
            None => says(FORGOTTEN),
        };
        let (kind, what) = if forgotten {
            (ErrorKind::Unsupported, "has no state of it any more")
        } else if says(NOT_YET) {
            (ErrorKind::Lagging, "does not have it yet")
        } else {
            return error;
        };
        Error {
            kind,
            message: format!("asked for block {height}, the node {what}: {error}"),
            ..error
        }
    }
}

/// N of `BlockOutOfRangeError: block height is N but requested was M`, which anvil says of blocks
/// that are not there yet and of blocks whose state it has pruned.
fn newest_told(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("blockoutofrangeerror: block height is ")?;
    rest.split(' ').next()?.parse().ok()
}

// Source: go-ethereum (both state schemes) and issues 16471, 20874; Polygon bor issue 322; reth
// pull request 4092; nethermind; erigon; gateways that sell archives apart.
const FORGOTTEN: &[&str] = &[
    "missing trie node",
    "historical state",
    "is not available",
    "state unavailable",
    "no state available",
    "pruned",
    "pruning",
    "archive",
    "proof window",
];
// Source: go-ethereum, erigon, reth, anvil, coreth.
const NOT_YET: &[&str] = &[
    "header not found",
    "block not found",
    "unknown block",
    "block is not found",
    "blockoutofrange",
    "after last accepted block",
    "unfinalized data",
];

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Block = Block::At(7);

    #[track_caller]
    fn check(block: Block, code: i64, message: &str, before: ErrorKind, after: ErrorKind) {
        let error = Error::new(before, message).with_code(code);
        let explained = block.explain(error);
        assert_eq!(explained.kind, after, "{message}");
        assert_eq!(explained.code, Some(code));
        let named = explained.message.contains("block 7,");
        assert_eq!(named, before != after, "{}", explained.message);
    }

    #[test]
    fn a_node_that_is_not_there_yet_lags() {
        let server = ErrorKind::ServerError;
        for (code, message) in [
            (-32000, "header not found"),
            (-32000, "block not found"),
            (-32000, "Unknown block"),
            (-32001, "block not found: 0x7"),
            (
                -32602,
                "BlockOutOfRangeError: block height is 5 but requested was 7",
            ),
        ] {
            check(AT, code, message, server, ErrorKind::Lagging);
            check(AT, code, message, ErrorKind::Refused, ErrorKind::Lagging);
            // Asked for its newest block the node contradicts itself.
            check(Block::Tag("latest"), code, message, server, server);
        }
    }

    #[test]
    fn a_node_that_forgot_the_state_does_not_offer_it() {
        let server = ErrorKind::ServerError;
        for (code, message) in [
            (-32000, "missing trie node 8b16 (path )"),
            (
                -32000,
                "missing trie node 8b16 (path ) state 0x8b16 is not available, not found",
            ),
            (-32000, "required historical state unavailable (reexec=128)"),
            (-32603, "State at block #7 is pruned"),
            (-32002, "No state available for block 7"),
            (
                -32602,
                "BlockOutOfRangeError: block height is 64 but requested was 7",
            ),
            (
                -32602,
                "distance to target block exceeds maximum proof window",
            ),
            (-32000, "project ID does not have access to archive state"),
        ] {
            check(AT, code, message, server, ErrorKind::Unsupported);
            check(Block::Tag("latest"), code, message, server, server);
        }
    }

    #[test]
    fn other_errors_stay_what_they_are() {
        for (code, message, kind) in [
            (-32005, "limit exceeded", ErrorKind::RateLimited),
            (
                -32000,
                "archive requests: rate limit",
                ErrorKind::RateLimited,
            ),
            (-32000, "out of gas", ErrorKind::TooLarge),
            (-32603, "internal error", ErrorKind::ServerError),
            (3, "execution reverted", ErrorKind::Refused),
            (
                -32601,
                "the method eth_call does not exist/is not available",
                ErrorKind::Unsupported,
            ),
        ] {
            check(AT, code, message, kind, kind);
        }
        let gateway = Error::new(ErrorKind::ServerError, "HTTP 502: header not found");
        assert_eq!(AT.explain(gateway.clone()), gateway);
    }
}
