//! How the library was built: C18, C22.

use scanhost_abi::stamp::{ABI_MAJOR, ABI_MINOR};

use crate::check::{Bench, Outcome, failed, skipped};

/// C18.
pub(crate) fn imports(bench: &Bench<'_>) -> Outcome<String> {
    match bench.subject.forbidden_imports() {
        None => skipped("there is no built file here; `scanhost plugins verify FILE` looks at it"),
        Some(found) if found.is_empty() => Ok("no network, no process, no loading".into()),
        Some(found) => failed(format!(
            "it calls `{}`; a plugin does no I/O of its own: send requests by `Cx`",
            found.join("`, `")
        )),
    }
}

/// C22. That a library of one minor loads in a host of another is shown by Scanhost's own tests,
/// which compile both pairs.
pub(crate) fn abi(bench: &Bench<'_>) -> Outcome<String> {
    let build = bench.subject.build();
    let (major, minor) = build.abi;
    if major != ABI_MAJOR {
        return failed(format!(
            "built against ABI {major}.{minor}; hosts of ABI {ABI_MAJOR} refuse it: rebuild it \
             against a scanhost-plugin-api of ABI {ABI_MAJOR}"
        ));
    }
    if !build.unwind {
        return failed("built with `panic = \"abort\"`; every host refuses it");
    }
    let manifest = bench.manifest()?;
    let features = manifest["features"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if let Some(feature) = features.first() {
        let feature = feature.as_str().unwrap_or("?");
        return failed(format!(
            "its manifest asks for the host feature `{feature}`, which no host of ABI \
             {ABI_MAJOR}.{ABI_MINOR} offers"
        ));
    }
    if manifest["manifest_version"].as_u64() != Some(1) {
        let version = &manifest["manifest_version"];
        return failed(format!(
            "its manifest has version {version}; hosts read version 1"
        ));
    }
    Ok(format!(
        "ABI {major}.{minor}, for hosts of ABI {major}; no host feature needed"
    ))
}
