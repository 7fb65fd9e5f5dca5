//! Mints and associated accounts.

use scanhost_plugin_api::__private::abi::ErrorKind;
use serde_json::json;

use super::bench::{
    self, ALICE, Ask, BOB, Bench, Ledger, NOBODY, PYUSD, Read, SYSTEM, TOKEN, TOKEN_2022, USDC,
    associated, holding_data, mint_data, ok, run,
};
use super::faults::faults;
use super::{MANY, PYUSD_6, SLOT, SOL, USDC_6};

#[test]
fn a_frozen_account_still_holds() {
    let mut ledger = Ledger::new();
    ledger.at(&associated(ALICE, USDC, TOKEN)).data[108] = 2;
    let reads = Bench::over(ledger).ask(&Ask::new(&[ALICE], &[USDC_6]));
    assert_eq!(reads.unwrap(), [Read::Known(7, SLOT)]);
}

#[test]
fn a_token_account_must_be_the_wallets_and_the_tokens() {
    let check = |what: &str, spoil: &dyn Fn(&mut bench::Account)| {
        let mut ledger = Ledger::new();
        spoil(ledger.at(&associated(ALICE, USDC, TOKEN)));
        let reads = Bench::over(ledger).ask(&Ask::new(&[ALICE], &[SOL, USDC_6]));
        let odd = Read::Unknown(ErrorKind::MALFORMED);
        let expected = [Read::Known(5_000_000_000, SLOT), odd];
        assert_eq!(reads.unwrap(), expected, "{what}");
    };
    check("the system's", &|account| account.owner = SYSTEM);
    check("the other program's", &|account| account.owner = TOKEN_2022);
    check("another mint", &|account| {
        account.data = holding_data(ALICE, PYUSD, 7);
    });
    check("another owner", &|account| {
        account.data = holding_data(BOB, USDC, 7);
    });
    check("no data", &|account| account.data.clear());
    check("a byte short of the state", &|account| {
        account.data.truncate(108)
    });
    check("shorter than an account", &|account| {
        account.data.truncate(164)
    });
    check("not initialized", &|account| account.data[108] = 0);
    check("an unknown state", &|account| account.data[108] = 3);
}

#[test]
fn trouble_with_a_mint_is_its_tokens_alone() {
    let check = |what: &str, kind: ErrorKind, spoil: &dyn Fn(&mut Ledger)| {
        let mut ledger = Ledger::new();
        spoil(&mut ledger);
        let ask = Ask::new(&[ALICE, NOBODY], &[SOL, USDC_6, PYUSD_6]);
        let reads = Bench::over(ledger).ask(&ask).unwrap();
        let (odd, known) = (Read::Unknown(kind), |amount| Read::Known(amount, SLOT));
        let alice = [known(5_000_000_000), odd.clone(), known(9)];
        assert_eq!(reads[..3], alice, "{what}");
        assert_eq!(reads[3..], [known(0), odd, known(0)], "{what}");
    };
    let refused = ErrorKind::REFUSED;
    check("no account", refused, &|ledger| {
        ledger.accounts.remove(USDC);
    });
    check("a wallet", refused, &|ledger| {
        ledger.put(USDC, SYSTEM, 1, vec![])
    });
    check("another program's", refused, &|ledger| {
        ledger.at(USDC).owner = SYSTEM
    });
    check("a token account", refused, &|ledger| {
        ledger.at(USDC).data = holding_data(ALICE, USDC, 7);
    });
    check("a token account of Token-2022", refused, &|ledger| {
        let mut data = holding_data(ALICE, USDC, 7);
        data.extend([2, 0, 0]);
        ledger.put(USDC, TOKEN_2022, 1, data);
    });
    check("not initialized", refused, &|ledger| {
        ledger.at(USDC).data[45] = 0
    });
    check("cut short", refused, &|ledger| {
        ledger.at(USDC).data.truncate(44)
    });
    check("other decimals", ErrorKind::DECIMALS_MISMATCH, &|ledger| {
        ledger.at(USDC).data = mint_data(9);
    });
}

#[test]
fn a_mint_that_is_no_address_is_its_tokens_alone() {
    let ask = Ask::new(&[ALICE], &[SOL, (Some("0xdead"), 6), USDC_6]);
    let reads = Bench::over(Ledger::new()).ask(&ask).unwrap();
    assert_eq!(reads[1], Read::Unknown(ErrorKind::REFUSED));
    assert_eq!(
        (&reads[0], &reads[2]),
        (&Read::Known(5_000_000_000, SLOT), &Read::Known(7, SLOT))
    );
}

#[test]
fn decimals_tell_both_numbers() {
    let bench = Bench::over(Ledger::new());
    let ask = Ask::new(&[ALICE], &[(Some(USDC), 9)]);
    assert_eq!(
        bench.ask(&ask).unwrap(),
        [Read::Unknown(ErrorKind::DECIMALS_MISMATCH)]
    );
    let mint = crate::token::Mint {
        address: USDC.parse().unwrap(),
        program: TOKEN.parse().unwrap(),
        decimals: 6,
    };
    let message = mint.check_decimals(9).unwrap_err().message;
    assert!(
        message.contains("has 6 decimals, the configuration says 9"),
        "{message}"
    );
}

#[test]
fn mints_that_are_not_answered_leave_coins_known_and_are_asked_again() {
    let ledger = Ledger::new();
    for (fault, answer, kind) in faults() {
        let mints = std::sync::atomic::AtomicU32::new(0);
        let ledger = ledger.clone();
        let bench = Bench::new(json!({}), move |request| {
            let first = || mints.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            if request["params"][0][0] == USDC && first() {
                return answer.clone();
            }
            ok(&ledger.answer(request))
        });
        let ask = Ask::new(&[ALICE], &[SOL, USDC_6]);
        let reads = bench.ask(&ask).unwrap();
        assert_eq!(reads[0], Read::Known(5_000_000_000, SLOT), "{fault}");
        assert_eq!(reads[1], Read::Unknown(kind), "{fault}");
        let reads = bench.ask(&ask).unwrap();
        assert_eq!(reads[1], Read::Known(7, SLOT), "{fault}");
    }
}

#[test]
fn tokens_alone_without_their_mint_are_a_failed_call() {
    let bench = Bench::new(json!({}), |_| (502, vec![], String::new()));
    let error = bench.ask(&Ask::new(&[ALICE], &[USDC_6])).unwrap_err();
    assert_eq!(
        (error.kind, error.http_status),
        (ErrorKind::SERVER_ERROR, 502)
    );
    assert_eq!(bench.requests(MANY).len(), 1);
}

#[test]
fn calls_that_start_together_read_a_mint_once() {
    let bench = Bench::over(Ledger::new());
    let ask = Ask::new(&[ALICE], &[USDC_6]);
    let (one, two) = run(futures_util::future::join(
        bench.asking(&ask),
        bench.asking(&ask),
    ));
    assert_eq!(one.unwrap(), [Read::Known(7, SLOT)]);
    assert_eq!(two.unwrap(), [Read::Known(7, SLOT)]);
    assert_eq!(bench.requests(MANY).len(), 3);
}
