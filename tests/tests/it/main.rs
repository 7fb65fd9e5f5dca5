//! Every end-to-end case, in one binary: the built product, real plugins, simulated providers.
//!
//! What the scanner before this one got wrong, and which test here would have told:
//!
//! | failure | told by |
//! |---|---|
//! | a failed token call changed the stored balance | `faults`, all of them; `store::balances_shows_the_last_good_value_after_a_failed_scan` |
//! | 200 with an error, `{}`, HTML, a short, reordered, doubled or foreign list was taken for an answer | `faults`: `…_whole_responses`, `…_lists_and_amounts`, `…_statistics` |
//! | one bad address among many failed them all | `content::one_poisoned_address_costs_…` |
//! | `Retry-After` was parsed and forgotten | `windows::all_providers_of_an_origin_wait_when_one_is_told_to`, `health::a_pause_that_was_asked_for_outlives_the_process` |
//! | an outage shorter than the patience left holes; a longer one lost its place | `outages::an_outage_…`; `cancels::while_chunks_are_committed` |
//! | half-open let two calls through, or none for ever | `health::a_scan_that_ends_half_open_is_probed_again`; `outages::a_dead_provider_of_three_…`; the gate's own tests |
//! | a kill between two writes left a gap | `kills::twenty_kills_lose_and_double_nothing` |
//! | a provider on another chain was believed | `scan::pools::a_provider_of_another_chain_…`, `scan::pools::a_provider_that_comes_back_as_another_chain_is_held` |
//! | a hung socket stopped the scan | `outages::a_hung_socket_is_bounded_by_the_deadline`; `plugins::a_hung_plugin_…` |
//! | two providers on one host had a limit each | `windows::two_providers_of_one_origin_share_its_window` |
//! | only the last error was kept, and its class was lost | `content::all_providers_are_named_with_their_classes` |
//! | usage counted calls, not requests | `health::every_attempt_is_counted` |
//! | a late or reconnecting reader of events got an inconsistent state | `service::events`, all of them |
//! | a stop in the wrong moment left the pass running | `cancels`, all of them |
//! | batches were cut into pieces | `requests`, all of them |
//! | token accounts were derived by a rule that nobody had checked | the simulator's own tests, by published vectors |
//! | the store was closed before the scan had ended | `cancels::while_chunks_are_committed`; of the server: `service::ending` |
//!
//! Tests called `soak_…` are the long forms; `make soak` runs them.

mod alerts;
mod anvil;
mod book;
mod browser;
mod cancels;
mod content;
mod derive;
mod drill;
mod faults;
mod guide;
mod health;
mod isolation;
mod kills;
mod lab;
mod lists;
mod litecoin;
mod memory;
mod metrics;
mod operator_guide;
mod outages;
mod packaging;
mod plan;
mod plugin_guide;
mod plugins;
mod plugins_new;
mod plugins_try;
mod plugins_verify;
mod receiver;
mod requests;
mod retention;
mod running;
mod scan;
mod served;
mod service;
mod simulate;
mod store;
mod webhooks;
mod windows;
