//! What one key holds: texts, numbers, flags, paths, lists and words out of closed lists.

use std::path::PathBuf;

use figment::value::Value;

use super::error::{did_you_mean, ticked};
use super::reader::Item;

/// A value that one key holds.
pub(super) trait Leaf: Sized {
    /// Reads it, or records what is wrong.
    fn read(item: &Item<'_>) -> Option<Self>;

    /// As TOML, without secrets.
    fn shown(&self) -> String;
}

impl Leaf for String {
    fn read(item: &Item<'_>) -> Option<Self> {
        match item.text() {
            Some("") => item.wrong("is empty"),
            Some(text) => Some(text.to_owned()),
            None if matches!(item.raw(), Value::Num(..) | Value::Bool(..)) => {
                let bare = item.found().replace("the number ", "");
                item.wrong(format_args!(
                    "expected a string, found {}; write \"{bare}\"",
                    item.found()
                ))
            }
            None => item.expected("a string"),
        }
    }

    fn shown(&self) -> String {
        quoted(self)
    }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Leaf for bool {
    fn read(item: &Item<'_>) -> Option<Self> {
        match item.typed().to_bool() {
            Some(flag) => Some(flag),
            None => item.expected("true or false"),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Leaf for u32 {
    fn read(item: &Item<'_>) -> Option<Self> {
        let number = item.typed().to_i128().and_then(|n| Self::try_from(n).ok());
        match number {
            Some(number) => Some(number),
            None => item.expected("a whole number from 0 to 4294967295"),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Leaf for u8 {
    fn read(item: &Item<'_>) -> Option<Self> {
        let number = item.typed().to_i128().and_then(|n| Self::try_from(n).ok());
        match number {
            Some(number) => Some(number),
            None => item.expected("a whole number from 0 to 255"),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A path; a relative one starts at the folder of the configuration file.
impl Leaf for PathBuf {
    fn read(item: &Item<'_>) -> Option<Self> {
        String::read(item).map(|path| item.reader.base.join(path))
    }

    fn shown(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl<T: Leaf> Leaf for Vec<T> {
    fn read(item: &Item<'_>) -> Option<Self> {
        let items = item.items("values")?;
        let read: Vec<_> = items.iter().map(T::read).collect();
        read.into_iter().collect()
    }

    fn shown(&self) -> String {
        let items: Vec<_> = self.iter().map(Leaf::shown).collect();
        format!("[{}]", items.join(", "))
    }
}

/// One word out of a closed list.
pub(super) fn word<T: Copy>(item: &Item<'_>, words: &[(&str, T)]) -> Option<T> {
    let names = || words.iter().map(|(name, _)| *name);
    let Some(text) = item.text() else {
        return item.expected(&format!("one of {}", ticked(names())));
    };
    match words.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Some(*value),
        None => item.wrong(format_args!(
            "expected one of {}, found {text:?}{}",
            ticked(names()),
            did_you_mean(text, names())
        )),
    }
}

/// Declares an enum of configuration words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word in the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::config::leaf::Leaf for $name {
            fn read(item: &$crate::config::reader::Item<'_>) -> Option<Self> {
                $crate::config::leaf::word(item, &[$(($word, Self::$variant)),+])
            }

            fn shown(&self) -> String {
                $crate::config::leaf::quoted(self.as_str())
            }
        }
    };
}
pub(super) use words;
