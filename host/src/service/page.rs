//! The dashboard: the files of `page/`, as they are, inside the binary.
//!
//! They are plain HTML, CSS and JavaScript without a build step, and ask for nothing but each other and
//! the API, by relative addresses: they work below any base path, as long as the page's own address ends
//! with a slash. [`POLICY`] holds for all of them.

use sha2::{Digest, Sha256};

/// The `Content-Security-Policy` that every answer of the dashboard carries: nothing from elsewhere, no
/// code and no style that stands in the page itself, no frame around it.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// One file of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asset {
    /// Its `Content-Type`.
    pub(super) content_type: &'static str,
    /// What is in it.
    pub(super) body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal => $content_type:expr,)+) => {
        /// Every file by its path below the page's own address; the page itself has the empty path.
        pub(super) const ASSETS: &[(&str, Asset)] = &[
            ("", Asset { content_type: HTML, body: include_str!("page/index.html") }),
            $(($path, Asset { content_type: $content_type, body: include_str!(concat!("page/", $path)) }),)+
        ];
    };
}

assets! {
    "app.css" => CSS,
    "icon.svg" => SVG,
    "js/actions.js" => SCRIPT,
    "js/api.js" => SCRIPT,
    "js/attention.js" => SCRIPT,
    "js/balances.js" => SCRIPT,
    "js/chains.js" => SCRIPT,
    "js/clock.js" => SCRIPT,
    "js/dialog.js" => SCRIPT,
    "js/dom.js" => SCRIPT,
    "js/events.js" => SCRIPT,
    "js/format.js" => SCRIPT,
    "js/holes.js" => SCRIPT,
    "js/live.js" => SCRIPT,
    "js/main.js" => SCRIPT,
    "js/parts.js" => SCRIPT,
    "js/providers.js" => SCRIPT,
    "js/scans.js" => SCRIPT,
    "js/store.js" => SCRIPT,
    "js/table.js" => SCRIPT,
    "js/transactions.js" => SCRIPT,
    "js/words.js" => SCRIPT,
}

/// The file at a path below the page's own address, without a slash at its beginning.
#[cfg(test)]
fn asset(path: &str) -> Option<Asset> {
    ASSETS
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, asset)| *asset)
}

// === impl Asset ===

impl Asset {
    /// Its `ETag`: other bytes have another one, so that a browser asks again and gets the new page after
    /// an update of the binary, and otherwise no bytes at all.
    pub(super) fn etag(&self) -> String {
        let hash = hex::encode(Sha256::digest(self.body));
        format!("\"{}\"", &hash[..32])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/page");
        let mut there = BTreeSet::new();
        files(&folder, "", &mut there);
        there.remove("index.html");
        let mut served: BTreeSet<_> = ASSETS.iter().map(|(path, _)| (*path).to_owned()).collect();
        served.remove("");
        assert_eq!(served, there);
    }

    #[test]
    fn every_import_names_a_file_that_is_there() {
        for (path, asset) in ASSETS.iter().filter(|(path, _)| path.starts_with("js/")) {
            for line in asset
                .body
                .lines()
                .filter(|line| line.starts_with("import "))
            {
                let (_, from) = line.split_once("from './").expect("imports are relative");
                let file = format!("js/{}", from.trim_end_matches("';"));
                assert!(super::asset(&file).is_some(), "{path}: {line}");
            }
        }
    }

    #[test]
    fn nothing_in_the_page_needs_a_weaker_policy() {
        for (path, asset) in ASSETS {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "new Function",
            ] {
                assert!(!asset.body.contains(word), "{path}: {word}");
            }
        }
        let page = asset("").unwrap().body;
        assert!(
            !page.contains("<style") && !page.contains("style=") && !page.contains(" onclick=")
        );
        assert_eq!(
            page.matches("<script").count(),
            1,
            "one script, by its address"
        );
        assert!(
            !page.contains("href=\"/") && !page.contains("src=\"/"),
            "addresses are relative"
        );
    }

    #[test]
    fn an_etag_follows_the_bytes() {
        let etags: BTreeSet<_> = ASSETS.iter().map(|(_, asset)| asset.etag()).collect();
        assert_eq!(etags.len(), ASSETS.len());
    }
}
