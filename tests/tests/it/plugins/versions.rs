//! Plugins and hosts that were built against other versions of the ABI, or in another way.

use scanhost_tests::fixtures::{self, Abi};
use scanhost_tests::product::Run;

use super::{Lab, assert_echoed, assert_left_out, echo_service};

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_built_to_abort_is_refused() {
    let lab = Lab::start().await;
    let file = fixtures::echo_that_aborts().unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 3);
    assert_left_out(&run, "[panic_mode]");
    assert!(run.stderr.contains("unwind"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_another_major_is_refused_in_one_line() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::OtherMajor).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 3);
    assert_left_out(&run, "[abi_major]");
    assert!(run.stderr.contains("rebuild it"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_a_newer_minor_works() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::NewerMinor).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 0);
    assert_echoed(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_today_work_in_a_host_of_a_newer_minor() {
    works_in_a_host_of(Abi::NewerMinor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_the_first_minor_works() {
    let lab = Lab::start().await;
    let file = fixtures::echo_built_for(Abi::First).unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let run = lab.scan(&lab.config(&[&folder], "fixture-echo", &service, ""), 0);
    assert_echoed(&run);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_today_work_in_a_host_of_the_first_minor() {
    works_in_a_host_of(Abi::First).await;
}

/// A program of another day loads the plugins of today.
async fn works_in_a_host_of(abi: Abi) {
    let lab = Lab::start().await;
    let host = fixtures::host_built_for(abi).unwrap_or_else(|error| panic!("{error}"));
    let file = fixtures::plugin("fixture-echo").unwrap_or_else(|error| panic!("{error}"));
    let folder = lab.folder(&[&file]);
    let service = echo_service().await;
    let product = lab.product(&lab.config(&[&folder], "fixture-echo", &service, ""));
    let output = std::process::Command::new(host)
        .args(["scan", "--format", "json"])
        .current_dir(product.folder())
        .env_remove("SCANHOST_CONFIG")
        .output()
        .expect("it was just built");
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("results are text"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    let run = run.expect(0);
    lab.expect_unharmed(&run);
    assert_echoed(&run);
}
