//! The document of the API, and the service held against it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

/// The folder of the project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A tool that `make tools` puts there.
fn tool(path: &str) -> PathBuf {
    let tool = project().join(".tools").join(path);
    assert!(
        tool.exists(),
        "`{}` is missing; run `make tools`",
        tool.display()
    );
    tool
}

#[test]
fn the_document_and_its_types_are_those_in_the_docs() {
    let lab = Lab::new(Plugin::BscRpc, 1);
    let printed = lab.product.run(&["openapi"]).expect(0).stdout;
    let docs = project().join("docs/api");
    let kept = std::fs::read_to_string(docs.join("openapi.json")).expect("it is kept");
    assert!(printed == kept, "docs/api is out of date; run `make api`");
    let served = Served::start(&lab.product);
    let of_service = served.get("openapi.json").expect(200);
    assert_eq!(of_service, serde_json::from_str::<Value>(&kept).unwrap());
    let generator = tool("node_modules/.bin/openapi-typescript");
    let types = Command::new(generator)
        .arg(docs.join("openapi.json"))
        .output()
        .unwrap();
    assert!(
        types.status.success(),
        "{}",
        String::from_utf8_lossy(&types.stderr)
    );
    let types = String::from_utf8(types.stdout).unwrap();
    let kept = std::fs::read_to_string(docs.join("scanhost.d.ts")).expect("it is kept");
    assert!(types == kept, "docs/api is out of date; run `make api`");
}

#[test]
fn operations_are_named_once_and_every_one_tells_its_problems() {
    let lab = Lab::new(Plugin::BscRpc, 1);
    let printed = lab.product.run(&["openapi"]).expect(0).stdout;
    let document: Value = serde_json::from_str(&printed).unwrap();
    let mut names = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            names.push(operation["operationId"].as_str().unwrap().to_owned());
            let problems = &operation["responses"]["4XX"]["content"];
            let is_problem = problems["application/problem+json"].is_object();
            assert!(is_problem, "{method} {path}: {operation}");
        }
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Everything that the document says of requests and answers, tried with thousands of them.
#[test]
fn fuzzed_by_its_document_the_service_never_fails() {
    let lab = Lab::new(Plugin::BscRpc, 20);
    lab.set_up(&Setup::of(&["first", "second"]));
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    let document = format!("{}/api/v1/openapi.json", served.url);
    let mut command = Command::new(tool("schemathesis/bin/schemathesis"));
    command.args([
        "run",
        &document,
        "--checks",
        "all",
        "--continue-on-failure",
        "--no-color",
    ]);
    // A stream has no end, and which strings are ids or names no schema says.
    command.args(["--exclude-path", "/events"]);
    command.args([
        "--exclude-checks",
        "positive_data_acceptance,negative_data_rejection",
    ]);
    command.args(["--max-time", "30", "--max-examples", "25", "--seed", "11"]);
    command.args(["--rate-limit", "300/s", "--generation-database", "none"]);
    command.current_dir(lab.product.folder());
    let fuzzed = command.output().unwrap();
    let said = String::from_utf8_lossy(&fuzzed.stdout);
    assert!(fuzzed.status.success(), "{said}");
    assert!(said.contains("generated"), "{said}");
    served.get("/readyz").expect(200);
    assert!(served.items("providers").len() == 2);
    let stopped = served.stop();
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    assert!(!stopped.stderr.contains("panic"), "{}", stopped.stderr);
}
