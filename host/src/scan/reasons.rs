//! Why cells stayed unknown: every provider's word, joined.

use super::engine::{Ending, Engine};
use super::queue::Item;
use crate::model::{Class, ProviderError, Reason};

impl Engine<'_> {
    /// Why a cell is unknown that nobody was asked for.
    pub(super) fn reason_for_rest(&self, ending: &Ending) -> Reason {
        let mut providers = self.words_of_pool(&[]);
        if matches!(ending, Ending::GaveUp { .. }) {
            // Nobody answered any cell for so long: what each said of others tells why.
            for member in &self.pool.members {
                if !providers.iter().any(|it| it.provider == member.name) {
                    providers.extend(member.last_failure());
                }
            }
        }
        if self.pool.members.is_empty() {
            let message = "no provider of the chain is usable".to_owned();
            return Reason {
                class: Class::NoProvider,
                message,
                providers,
            };
        }
        let (class, message) = match ending {
            Ending::Cancelled => (Class::Cancelled, "the scan was cancelled".to_owned()),
            Ending::GaveUp { message } => (
                providers.first().map_or(Class::GaveUp, |first| first.class),
                message.clone(),
            ),
            Ending::Complete => (Class::Missing, "the scan did not ask for it".to_owned()),
        };
        Reason {
            class,
            message,
            providers,
        }
    }

    /// What every provider of the pool has to say: its own word on the cell where it was asked,
    /// else why its gate lets nothing through.
    pub(super) fn words_of_pool(&self, said: &[ProviderError]) -> Vec<ProviderError> {
        let unasked = self.pool.members.iter().filter_map(|member| {
            let asked = said.iter().any(|error| error.provider == member.name);
            if asked { None } else { member.shut_reason() }
        });
        said.iter()
            .cloned()
            .chain(unasked)
            .chain(self.pool.unusable.iter().cloned())
            .collect()
    }

    /// The joined reason of a cell that was asked for.
    pub(super) fn reason_of(&self, item: &Item) -> Reason {
        let native = self.assets[usize::from(item.asset)].is_native();
        if item.errors.is_empty() && !self.pool.can_read(native) {
            return Reason {
                class: Class::NoProvider,
                message: "no usable provider of the chain reads this asset".to_owned(),
                providers: self.pool.unusable.clone(),
            };
        }
        let providers = self.words_of_pool(&item.errors);
        let told = item.errors.first().or_else(|| providers.first());
        let class = told.map_or(Class::NoProvider, |error| error.class);
        let message = match providers.as_slice() {
            [] => "no provider of the chain reads this asset".to_owned(),
            [one] => format!("{}: {}", one.provider, one.message),
            many => format!("{} providers failed", many.len()),
        };
        Reason {
            class,
            message,
            providers,
        }
    }
}
