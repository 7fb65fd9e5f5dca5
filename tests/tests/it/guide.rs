//! Guides as tests run them: fenced blocks, with comments before them that tell what they are about.

use std::collections::BTreeMap;
use std::path::Path;

/// A fenced block of a guide.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) line: usize,
    /// The heading of the second level that it stands under.
    pub(crate) section: String,
    pub(crate) language: String,
    pub(crate) text: String,
    /// What `<!-- word: value -->` before it tells.
    pub(crate) marks: BTreeMap<String, String>,
}

/// The blocks of a guide below `docs`; comments with other words than these are a mistake.
pub(crate) fn blocks(name: &str, words: &[&str]) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    let text = std::fs::read_to_string(path).expect("the guide is there");
    let (mut section, mut marks) = (String::new(), BTreeMap::new());
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(block) = &mut open {
            if line == "```" {
                blocks.extend(open.take());
            } else {
                block.text.push_str(line);
                block.text.push('\n');
            }
            continue;
        }
        let comment = line.strip_prefix("<!-- ");
        let comment = comment.and_then(|it| it.strip_suffix(" -->")?.split_once(": "));
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut section);
        } else if let Some(language) = line.strip_prefix("```") {
            open = Some(Block {
                line: index + 1,
                section: section.clone(),
                language: language.to_owned(),
                text: String::new(),
                marks: std::mem::take(&mut marks),
            });
        } else if let Some((word, value)) = comment {
            assert!(words.contains(&word), "line {}: {line}", index + 1);
            marks.insert(word.to_owned(), value.to_owned());
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

// === impl Block ===

impl Block {
    pub(crate) fn mark(&self, word: &str) -> Option<&str> {
        self.marks.get(word).map(String::as_str)
    }

    /// The exit code that it ends with.
    pub(crate) fn exit(&self) -> i32 {
        let exit = self.mark("exit").unwrap_or("0");
        exit.parse().expect("exit codes are numbers")
    }
}
