use proptest::prelude::*;
use scanhost_abi::abi_stable::std_types::RBox;
use scanhost_abi::types::{
    AssetRef, CAP_NATIVE, CellRef, Commitment, Cost, ErrorKind, HttpMethod, Once, ReadingKind,
    Scope,
};
use scanhost_abi::{RNone, RSome, Tuple2};

use super::*;

fn error() -> AbiError {
    AbiError {
        http_status: 503,
        retry_after_ms: 7,
        code: -32_000,
        reserved: [1, 2, 3, 4],
        ..AbiError::new(ErrorKind(99), "wörds\0of it")
    }
}

fn reading(error: Option<AbiError>) -> Reading {
    Reading {
        cell: u32::MAX,
        kind: ReadingKind(77),
        flags: 7,
        amount: [0xab; 32],
        height: 1 << 60,
        block_hash: [3; 32],
        pending: [0xff; 16],
        error: error.map(RBox::new).into(),
        reserved: [8, 9],
    }
}

fn to_child() -> Vec<ToChild> {
    let call = CallContext {
        call: 5,
        deadline_ms: u64::MAX,
        reserved: [6; 6],
    };
    let asset = |contract: Option<&str>| AssetRef {
        contract: contract.map_or(RNone, |it| RSome(it.into())),
        decimals: 18,
        reserved: [1, 2],
    };
    let response = HttpResponse {
        status: 418,
        headers: vec![Tuple2("a".into(), "b".into())].into(),
        body: (0..=255).collect(),
        reserved: [4; 4],
    };
    vec![
        ToChild::Launch {
            launch: Launch {
                copy: b"/a/\xff.so".to_vec().into(),
                manifest: "{}".into(),
                settings: String::new().into(),
                memory_max: 1,
            },
        },
        ToChild::Validate {
            id: 1,
            addresses: vec![RString::from("x"), RString::new()].into(),
        },
        ToChild::Identity { id: 2, call },
        ToChild::Balances {
            id: 3,
            call,
            request: BalancesRequest {
                addresses: vec![RString::from("x")].into(),
                assets: vec![asset(None), asset(Some("0x"))].into(),
                cells: vec![CellRef {
                    address: 9,
                    asset: 8,
                }]
                .into(),
                commitment: Commitment::LATEST,
                min_height: 1,
                at_height: 2,
                reserved: [3; 3],
            },
        },
        ToChild::Cancel { id: 4 },
        ToChild::Answered {
            id: 5,
            answer: RResult::ROk(response),
        },
        ToChild::Answered {
            id: 6,
            answer: RResult::RErr(error()),
        },
        ToChild::Ping {},
    ]
}

fn to_host() -> Vec<ToHost> {
    let caps = Caps {
        can: CAP_NATIVE,
        cells_per_call_max: 1,
        addresses_per_call_max: 2,
        assets_per_call_max: 3,
        cost: Cost {
            call: 1,
            native_batch: 2,
            native_cell: 3,
            token_cell: 4,
        },
        token_scope: Scope::ALL,
        commitment_default: Commitment::FINALIZED,
        once: Once {
            call: 1,
            tokens: 2,
            per_token: 3,
            reserved: 4,
        },
        reserved: [5; 6],
    };
    vec![
        ToHost::Confined {
            confinement: Confinement {
                holds: vec![RString::from("a")].into(),
                lacks: RVec::new(),
            },
        },
        ToHost::Opened {
            outcome: RResult::ROk(caps),
        },
        ToHost::Opened {
            outcome: RResult::RErr(Refused {
                code: "open".into(),
                message: "no".into(),
            }),
        },
        ToHost::Validated {
            id: 1,
            verdicts: vec![RResult::ROk("x".into()), RResult::RErr(error())].into(),
        },
        ToHost::Identified {
            id: 2,
            answer: RResult::ROk("56".into()),
        },
        ToHost::Balanced {
            id: 3,
            answer: RResult::ROk(vec![reading(None), reading(Some(error()))].into()),
        },
        ToHost::Http {
            id: 4,
            call: 5,
            request: HttpRequest {
                method: HttpMethod::POST,
                path: "/x".into(),
                headers: RVec::new(),
                body: vec![0; 3].into(),
                timeout_ms: 1,
                reserved: [1, 0, 0, 2],
            },
        },
        ToHost::HttpDropped { id: 6 },
        ToHost::Log {
            level: LogLevel(9),
            message: "m".into(),
        },
        ToHost::Pong {},
    ]
}

/// Every field is told by `Debug`, so texts that are alike are values that are alike.
#[track_caller]
fn check<F: Frame + std::fmt::Debug>(frame: &F) {
    let bytes = frame.encode().unwrap();
    let (length, body) = bytes.split_first_chunk::<LENGTH>().unwrap();
    assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
    let read = F::parse(body).unwrap();
    assert_eq!(format!("{read:?}"), format!("{frame:?}"));
    for cut in 0..body.len() {
        assert!(F::parse(&body[..cut]).is_err(), "{frame:?} cut to {cut}");
    }
    let longer = [body, &[0]].concat();
    assert!(F::parse(&longer).is_err(), "{frame:?} with a byte more");
}

#[test]
fn every_frame_is_read_as_it_was_written_and_no_shorter() {
    to_child().iter().for_each(check);
    to_host().iter().for_each(check);
}

#[test]
fn a_count_without_its_values_reserves_nothing() {
    for count in [1_u32, 1 << 20, u32::MAX] {
        // `Validated`: its id, then verdicts that are not there.
        let bytes = [&[3][..], &[0; 8], &count.to_le_bytes()].concat();
        let error = ToHost::parse(&bytes).unwrap_err();
        assert_eq!(error, BadFrame("it counts more than it holds"), "{count}");
    }
}

#[test]
fn a_frame_that_is_too_long_is_not_sent() {
    let body = |length| ToChild::Answered {
        id: 1,
        answer: RResult::ROk(HttpResponse {
            status: 200,
            headers: RVec::new(),
            body: vec![0; length].into(),
            reserved: [0; 4],
        }),
    };
    assert!(body(FRAME_MAX - 100).encode().is_ok());
    assert_eq!(body(FRAME_MAX).encode().unwrap_err(), TooLong);
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = ToHost::parse(&bytes);
        let _ = ToChild::parse(&bytes);
    }

    /// Frames that are nearly right reach further into the reader than noise does.
    #[test]
    fn a_spoilt_frame_is_a_frame_or_an_error(
        which in 0..10_usize,
        spoilt in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = Vec::new();
        to_host()[which].put(&mut bytes);
        for (at, byte) in spoilt {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut again = Vec::new();
        if let Ok(frame) = ToHost::parse(&bytes) {
            frame.put(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}
