use proptest::{prop_assert, proptest};

use super::*;

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let depth = 100_000;
    let text = format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(load_with(&text, &[]).is_err());
    let level = "{a=".repeat(depth);
    assert!(load_with(SMALL, &[("SCANHOST__LOG__LEVEL", &level)]).is_err());
    assert!(load_with(SMALL, &[("SCANHOST__CHAINS__BSC__SCAN", &level)]).is_err());
    let name = format!("SCANHOST__LOG{}", "__A".repeat(depth));
    assert!(load_with(SMALL, &[(&name, "x")]).is_err());
}

#[test]
fn byte_order_marks_and_windows_lines_are_fine() {
    let text = format!("{}{}", '\u{feff}', SMALL.replace('\n', "\r\n"));
    assert_eq!(good(&text, &[]).config.chains.len(), 1);
    let errors = errors(&format!("{text}[lgo]\r\n"), &[]);
    assert_eq!(
        errors,
        ["scanhost.toml:11:2: unknown key `lgo`; did you mean `log`?"]
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        at in 0..SMALL.len(),
        remove in 0..20_usize,
        insert in "[a-z0-9\\[\\]{}=\"'.,#é\\n -]{0,12}",
        variable in "(CHAINS|PROVIDERS|LOG|SERVICE|STORE|_)(__[A-Z_]{0,12}){0,3}",
        value in "\\PC{0,12}",
    ) {
        let end = (at + remove).min(SMALL.len());
        let text = format!("{}{insert}{}", &SMALL[..at], &SMALL[end..]);
        let name = format!("SCANHOST__{variable}");
        if let Err(errors) = load_with(&text, &[(&name, &value)]) {
            prop_assert!(!errors.findings().is_empty());
            for finding in errors.findings() {
                prop_assert!(!finding.message.contains('\n'), "{}", finding);
            }
        }
    }
}
