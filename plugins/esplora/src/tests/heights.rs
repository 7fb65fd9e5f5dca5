//! Balances from a lowest height on: of a certain block, or none.

use super::*;

#[test]
fn from_a_height_on_a_balance_is_of_a_certain_block() {
    let tip = "/blocks/tip/height".to_owned();
    let hash_of_tip = "/blocks/tip/hash".to_owned();
    let address = |address: &str| format!("/address/{address}");
    let bench = Bench::<Plain>::new(json!({ "batch": 25 }), healthy);
    let block = known(marked(923_456, TIP_HASH));
    let paths = |from: usize| bench.paths().split_off(from);

    let answers = bench.read_from(923_400, &[A]).unwrap();
    assert_eq!(answers.as_slice(), std::slice::from_ref(&block));
    let hash = "/block-height/923456".to_owned();
    assert_eq!(paths(0), [tip, hash, address(A), hash_of_tip.clone()]);
    // The tip after one call is the tip before the next: one request more than the balances.
    bench.kit.advance(Duration::from_secs(29));
    bench.read_from(923_400, &[A]).unwrap();
    bench.kit.advance(Duration::from_secs(29));
    let answers = bench.read_from(923_400, &[A, B, C]).unwrap();
    assert_eq!(answers, [block.clone(), block.clone(), block]);
    let third = [address(A), address(B), address(C), hash_of_tip];
    assert_eq!(paths(6), third);
}

/// A service whose tip is replaced right when the address `B` is read.
fn moving(next: &'static str) -> Bench<Plain> {
    let moved = Mutex::new(false);
    Bench::new(json!({ "batch": 25 }), move |path| {
        let mut moved = moved.lock().unwrap();
        *moved |= path.ends_with(B);
        match path {
            "/blocks/tip/height" if *moved && next == NEXT_HASH => ok("923457"),
            "/blocks/tip/hash" | "/block-height/923457" if *moved => ok(next),
            "/block-height/923456" if *moved && next != NEXT_HASH => ok(next),
            path => healthy(path),
        }
    })
}

#[test]
fn a_block_that_arrives_while_reading_leaves_no_height_certain() {
    for (next, height) in [
        (NEXT_HASH, 923_457),
        // Replaced at the same height.
        (GENESIS, 923_456),
    ] {
        let bench = moving(next);
        let error = bench.read_from(923_400, &[A, B, C]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Lagging);
        assert_eq!(error.message, "a block arrived while reading; ask again");
        // Asked again, all is of the new block.
        let answers = bench.read_from(923_400, &[A, B, C]).unwrap();
        let block = known(marked(height, next));
        assert_eq!(answers, [block.clone(), block.clone(), block]);
        // Who asks for no height gets the balances as ever.
        let answers = moving(next).read(&[A, B], &[NATIVE]).unwrap();
        let block = known(marked(923_456, TIP_HASH));
        assert_eq!(answers, [block.clone(), block]);
    }
}

#[test]
fn a_tip_that_cannot_be_read_leaves_no_height_certain() {
    #[track_caller]
    fn check(broken: &'static str, answer: (u16, &'static str), expected: ErrorKind) {
        let bench = Bench::<Plain>::new(json!({ "batch": 25 }), move |path| match path {
            path if path == broken => status(answer.0, answer.1),
            path => healthy(path),
        });
        for addresses in [&[A][..], &[A, B]] {
            let error = bench.read_from(1, addresses).unwrap_err();
            assert_eq!(error.kind, expected, "{broken}");
            assert!(error.message.contains("the tip"), "{}", error.message);
        }
    }
    for path in [
        "/blocks/tip/height",
        "/block-height/923456",
        "/blocks/tip/hash",
    ] {
        check(path, (429, ""), ErrorKind::RateLimited);
        check(path, (500, ""), ErrorKind::ServerError);
        check(path, (200, ""), ErrorKind::Malformed);
        check(path, (200, "{}"), ErrorKind::Malformed);
    }
}

#[test]
fn what_failed_by_itself_stays_what_it_is() {
    let bench = Bench::<Plain>::new(json!({ "batch": 25 }), |path| match path {
        path if path.ends_with(B) => status(400, "Invalid Bitcoin address"),
        path => healthy(path),
    });
    let answers = bench.read_from(923_456, &[A, B]).unwrap();
    assert_eq!(answers[0], known(marked(923_456, TIP_HASH)));
    assert_eq!(kind_of(&answers[1]), ErrorKind::Refused);
    // A token tells less of the call than the block that arrived.
    let cells = [(0, 1), (0, 0), (1, 0)];
    let request = Balances::new(&[A, B], &[NATIVE, TOKEN], &cells, Commitment::Confirmed);
    let error = moving(NEXT_HASH).ask(&request.with_min_height(1));
    assert_eq!(error.unwrap_err().kind, ErrorKind::Lagging);
}

#[test]
fn where_nothing_was_read_the_tip_is_not_read_again() {
    let bench = addresses_answer(|| status(500, ""));
    let error = bench.read_from(1, &[A, B]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ServerError);
    assert!(!bench.paths().contains(&"/blocks/tip/hash".to_owned()));
    let bench = Bench::<Plain>::new(json!({}), healthy);
    let request = Balances::new(&[A], &[TOKEN], &[(0, 0)], Commitment::Confirmed);
    let error = bench.ask(&request.with_min_height(1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(bench.paths().is_empty(), "tokens alone ask for no tip");
}
