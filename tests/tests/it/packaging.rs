//! What an operator installs beside the binary: unit, container file, completions, manual pages.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use scanhost_tests::product::built;

use crate::lab::{Lab, Plugin};
use crate::served::Served;

/// Where the unit expects the binary.
const INSTALLED: &str = "/usr/lib/scanhost/scanhost";
/// Keys of the unit that systemd 252 knows, apart from those that must be there.
const KEYS: [&str; 45] = [
    "After",
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "Description",
    "DynamicUser",
    "Environment",
    "ExecReload",
    "ExecStart",
    "LimitNOFILE",
    "LoadCredential",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "RemoveIPC",
    "Restart",
    "RestartPreventExitStatus",
    "RestartSec",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "StartLimitBurst",
    "StartLimitIntervalSec",
    "StateDirectory",
    "StateDirectoryMode",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "TimeoutStopSec",
    "Type",
    "UMask",
    "WantedBy",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).expect("it is in the repository")
}

/// The settings of a unit file, in their order.
fn settings(text: &str) -> Vec<(&str, &str)> {
    let is_setting = |line: &&str| !line.is_empty() && !line.starts_with(['#', '[']);
    let lines = text.lines().filter(is_setting);
    lines
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line}")))
        .collect()
}

fn value<'t>(text: &'t str, key: &str) -> &'t str {
    let mut settings = settings(text).into_iter();
    let found = settings.find(|(known, _)| *known == key);
    found.unwrap_or_else(|| panic!("there is no {key}")).1
}

/// Runs a program of the machine; `None` where it is not installed.
fn tool(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    if output.is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: `{program}` is not installed");
    }
    output.ok()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

#[track_caller]
fn scanhost(arguments: &[&str]) -> String {
    let output = Command::new(built().join("scanhost"))
        .args(arguments)
        .output()
        .expect("it starts");
    succeeded(&output)
}

/// The commands that `scanhost help` lists.
fn commands() -> Vec<String> {
    let help = scanhost(&["--help"]);
    let list = help.split("Commands:").nth(1).expect("they are listed");
    let list = list.split("Options:").next().unwrap_or_default();
    let words = list.lines().filter(|line| line.starts_with("  "));
    let words = words.filter(|line| !line.starts_with("   "));
    let words = words.filter_map(|line| line.split_whitespace().next());
    let commands: Vec<String> = words.map(str::to_owned).collect();
    assert!(commands.len() > 10, "{commands:?}");
    commands
}

#[test]
fn the_unit_has_no_key_that_systemd_does_not_know() {
    let files = ["scanhost.service", "token.conf"];
    for file in files {
        let text = read(&format!("config/systemd/{file}"));
        for (key, _) in settings(&text) {
            let known = KEYS.contains(&key) || ["Wants", "WorkingDirectory"].contains(&key);
            assert!(known, "{file}: {key}");
        }
    }
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("scanhost.service");
    let drop_in = folder.path().join("scanhost.service.d");
    let binary = built().join("scanhost");
    let text = read("config/systemd/scanhost.service");
    assert!(value(&text, "ExecStart").starts_with(&format!("{INSTALLED} ")));
    // Only its place differs: it must exist to be verified.
    fs::write(
        &unit,
        text.replace(INSTALLED, &binary.display().to_string()),
    )
    .unwrap();
    fs::create_dir(&drop_in).unwrap();
    fs::write(
        drop_in.join("token.conf"),
        read("config/systemd/token.conf"),
    )
    .unwrap();
    let unit = unit.display().to_string();
    let Some(verified) = tool("systemd-analyze", &["verify", &unit]) else {
        return;
    };
    succeeded(&verified);
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(!told.contains("scanhost"), "{told}");
    // In tenths: 1.5 of 10.
    let arguments = ["security", "--offline=true", "--threshold=15", "--no-pager"];
    let judged = tool("systemd-analyze", &[&arguments[..], &[&unit]].concat());
    let judged = succeeded(&judged.unwrap());
    assert!(judged.contains("Overall exposure level"), "{judged}");
}

#[test]
fn the_unit_waits_until_the_service_has_ended_in_good_order() {
    let reference = read("config/scanhost.toml");
    let mut lines = reference.lines();
    let patience = lines
        .find_map(|line| line.strip_prefix("shutdown_timeout = "))
        .unwrap();
    let seconds = |text: &str| -> Duration {
        let number = text.trim_matches('"').strip_suffix('s').unwrap();
        Duration::from_secs(number.parse().unwrap())
    };
    let unit = read("config/systemd/scanhost.service");
    let stop = seconds(value(&unit, "TimeoutStopSec"));
    // For requests, then for scans, then for the store.
    assert!(
        stop > seconds(patience) * 2 + Duration::from_secs(5),
        "{stop:?}"
    );
}

#[test]
fn what_the_unit_and_its_drop_in_set_is_what_the_service_takes() {
    let unit = read("config/systemd/scanhost.service");
    let start: Vec<&str> = value(&unit, "ExecStart").split(' ').collect();
    assert_eq!(
        start[1..],
        ["--config", "/etc/scanhost/scanhost.toml", "serve"]
    );
    let lab = Lab::new(Plugin::BscRpc, 1);
    let folder = lab.product.folder().display().to_string();
    lab.product.write("token", "a-token-4711\n");
    let drop_in = read("config/systemd/token.conf");
    let variables: Vec<(String, String)> = settings(&unit)
        .into_iter()
        .chain(settings(&drop_in))
        .filter(|(key, _)| *key == "Environment")
        .map(|(_, variable)| {
            let (name, value) = variable.split_once('=').unwrap();
            let value = value.replace("%d", &folder);
            (name.to_owned(), value.replace("/var/lib/scanhost", &folder))
        })
        .collect();
    assert_eq!(variables.len(), 2, "{variables:?}");
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut served = Served::with(&lab.product, &variables);
    served.get("chains").problem(401, "unauthorized");
    served.log_in("a-token-4711");
    served.get("chains").expect(200);
    assert!(lab.product.folder().join("scanhost.db").exists());
    assert_eq!(served.stop().code, 0);
}

#[test]
fn the_container_file_copies_what_is_there_and_sets_what_is_known() {
    let text = read("Containerfile");
    let instructions = text.replace("\\\n", " ");
    let of = |word: &str| -> Vec<String> {
        let lines = instructions.lines();
        let lines = lines.filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        lines.map(str::to_owned).collect()
    };
    let copied = of("COPY");
    let sources = copied.iter().filter(|line| !line.starts_with("--from"));
    for source in sources.flat_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[..words.len() - 1]
            .iter()
            .map(|&it| it.to_owned())
            .collect::<Vec<_>>()
    }) {
        assert!(repository().join(&source).exists(), "{source}");
    }
    // Every member of the workspace is copied, or cargo does not start.
    let members = read("Cargo.toml");
    let members = members.lines().find(|line| line.starts_with("members"));
    for member in members.unwrap().split('"').skip(1).step_by(2) {
        let folder = member.split('/').next().unwrap();
        assert!(
            copied
                .iter()
                .any(|line| *line == format!("{folder} {folder}")),
            "{folder}"
        );
    }
    // The embedded migrations and the reference configuration are read while it compiles.
    assert!(
        copied.contains(&"migrations migrations".to_owned()),
        "{copied:?}"
    );
    let plugins = fs::read_dir(built()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        (name.starts_with("libscanhost_plugin_") && name.ends_with(".so")).then_some(name)
    });
    assert!(
        plugins.count() >= 5,
        "the pattern of the file finds the plugins"
    );
    assert!(text.contains("target/release/libscanhost_plugin_*.so"));
    let user = of("USER");
    assert!(
        user.len() == 1 && !user[0].starts_with("0") && user[0] != "root",
        "{user:?}"
    );

    let variables = of("ENV").join(" ");
    let variables: BTreeMap<&str, &str> = variables
        .split_whitespace()
        .map(|variable| variable.split_once('=').unwrap())
        .collect();
    let lab = Lab::new(Plugin::BscRpc, 1);
    let check = |more: &[(&str, &str)]| {
        let mut command = lab.product.command(&["config", "check"]);
        command.envs(&variables).envs(more.iter().copied());
        let file = lab.product.folder().join("scanhost.toml");
        command.env("SCANHOST_CONFIG", file).output().unwrap()
    };
    succeeded(&check(&[("SCANHOST__SERVICE__TOKEN", "a-token-4711")]));
    let without = check(&[]);
    let told = String::from_utf8_lossy(&without.stderr);
    assert_eq!(without.status.code(), Some(2), "{told}");
    assert!(told.contains("needs a token"), "{told}");
}

#[test]
fn completions_know_every_command_and_parse() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = scanhost(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        let file = folder.path().join(shell);
        fs::write(&file, script).unwrap();
        if let Some(parsed) = tool(shell, &["-n", &file.display().to_string()]) {
            succeeded(&parsed);
        }
    }
    let script = folder.path().join("bash").display().to_string();
    let ask = format!(
        "source {script}; COMP_WORDS=(scanhost plugins ins); COMP_CWORD=2; \
         _scanhost scanhost ins plugins; echo \"${{COMPREPLY[@]}}\""
    );
    if let Some(completed) = tool("bash", &["-c", &ask]) {
        assert_eq!(succeeded(&completed).trim(), "inspect");
    }
    let run = Command::new(built().join("scanhost"))
        .args(["completions", "tcsh"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page_that_renders() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man/man1");
    let wrote = scanhost(&["man", "--output", &pages.display().to_string()]);
    let names: Vec<&str> = wrote
        .lines()
        .map(|line| line.strip_prefix("wrote ").unwrap())
        .collect();
    for command in commands().iter().filter(|command| *command != "help") {
        let page = pages.join(format!("scanhost-{command}.1"));
        assert!(names.contains(&&*page.display().to_string()), "{command}");
    }
    assert!(pages.join("scanhost-plugins-inspect.1").exists());
    let first = fs::read_to_string(pages.join("scanhost.1")).unwrap();
    assert_eq!(first, scanhost(&["man"]));
    for name in names {
        let page = fs::read_to_string(name).unwrap();
        assert!(page.lines().any(|line| line.starts_with(".TH ")), "{name}");
        let Some(rendered) = tool("man", &["--warnings", "--local-file", name]) else {
            continue;
        };
        let text = succeeded(&rendered);
        assert!(text.contains("SYNOPSIS"), "{name}: {text}");
        let last = text.lines().rfind(|line| !line.is_empty()).unwrap();
        assert!(last.starts_with("scanhost "), "{name}: {last}");
        let warnings = String::from_utf8_lossy(&rendered.stderr);
        assert_eq!(warnings, "", "{name}");
        if name.ends_with("/scanhost.1") {
            for heading in ["EXIT STATUS", "ENVIRONMENT", "FILES"] {
                assert!(text.contains(heading), "{text}");
            }
        }
    }
}
