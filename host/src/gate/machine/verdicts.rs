//! How a call ends.

use std::time::Duration;

use super::{Event, ForcedState, Identity, Machine, Moment, Ticket, Verdict};

impl Machine {
    /// Ends a call; without a verdict it was dropped.
    ///
    /// `busy` is how long the provider took, where the caller knows it better than the time since
    /// the call passed.
    pub(in crate::gate) fn finish(
        &mut self,
        ticket: Ticket,
        verdict: Option<Verdict>,
        busy: Option<Duration>,
        now: Moment,
    ) {
        let took = busy.unwrap_or_else(|| now.at.saturating_duration_since(ticket.taken_at));
        self.in_flight = self.in_flight.saturating_sub(1);
        let decides = match ticket.generation {
            Some(generation) => generation == self.breaker.generation(),
            None => ticket.epoch == self.epoch,
        };
        if !decides {
            self.totals.late += 1;
        }
        if verdict.is_some() {
            self.updated_ms = now.unix_ms;
        }
        self.end_identity_question(&ticket, verdict.as_ref());

        match verdict {
            None => {
                self.totals.given_back += 1;
                self.give_back(&ticket, now);
            }
            Some(Verdict::Success) => {
                self.totals.successes += 1;
                self.usage.successes += 1;
                self.succeed(&ticket, decides, took, now);
            }
            Some(Verdict::Failure {
                fault,
                message,
                http_status,
            }) => {
                self.totals.failures += 1;
                self.usage.failures += 1;
                if decides {
                    self.history
                        .failure(fault, http_status, &message, now.unix_ms);
                }
                self.fail(&ticket, took, now);
            }
            Some(Verdict::Neutral { class: _ }) => {
                self.totals.neutral += 1;
                self.give_back(&ticket, now);
            }
            Some(Verdict::RateLimited { retry_after: _ }) => {
                self.totals.rate_limited += 1;
                self.give_back(&ticket, now);
                self.rate_limited();
            }
            Some(Verdict::Hold {
                reason,
                lasts,
                message,
            }) => {
                self.totals.holds += 1;
                self.give_back(&ticket, now);
                // A call from before an operator's release must not undo the release.
                if ticket.epoch == self.epoch {
                    self.hold(reason, lasts, message, now);
                }
            }
            Some(Verdict::PluginFault { message }) => {
                self.totals.plugin_faults += 1;
                self.give_back(&ticket, now);
                self.plugin_fault(&message, ticket.epoch == self.epoch, now);
            }
        }
    }

    fn succeed(&mut self, ticket: &Ticket, decides: bool, took: Duration, now: Moment) {
        let config = self.breaker.config();
        let too_slow = config.is_too_slow(took);
        self.totals.slow += u64::from(config.is_slow(took));
        if decides && too_slow {
            self.history.too_slow(took, now.unix_ms);
        }
        // First the breaker, so that its transition still shows the failures before.
        if let Some(generation) = ticket.generation {
            let event = Event::Succeed { generation, took };
            self.tell_breaker(self.unless_silenced(event, generation), now);
        }
        if !decides {
            return;
        }
        if !too_slow {
            self.history.success(now.unix_ms);
        }
        self.plugin_faults = 0;
    }

    fn fail(&mut self, ticket: &Ticket, took: Duration, now: Moment) {
        if let Some(generation) = ticket.generation {
            let event = Event::Fail { generation, took };
            self.tell_breaker(self.unless_silenced(event, generation), now);
        }
    }

    /// What the breaker hears of a verdict: nothing while an operator keeps it closed, when
    /// neither a failure nor a ratio may open it, or has switched it off.
    fn unless_silenced(&self, event: Event, generation: u64) -> Event {
        if self.is_forced(ForcedState::Closed) || self.is_forced(ForcedState::Disabled) {
            Event::GiveBack { generation }
        } else {
            event
        }
    }

    fn give_back(&mut self, ticket: &Ticket, now: Moment) {
        if let Some(generation) = ticket.generation {
            self.tell_breaker(Event::GiveBack { generation }, now);
        }
    }

    fn end_identity_question(&mut self, ticket: &Ticket, verdict: Option<&Verdict>) {
        // Every re-opening starts a round, so that an older answer does not count.
        if ticket.identity_round != Some(self.identity_round) {
            return;
        }
        if let Identity::Pending { asked } = &mut self.identity {
            *asked = false;
            if verdict == Some(&Verdict::Success) {
                self.identity = Identity::Same;
            }
            self.wake = true;
        }
    }

    /// The identity that this call asked for is the configured one, while the call goes on.
    pub(in crate::gate) fn identified(&mut self, ticket: &Ticket) {
        self.end_identity_question(ticket, Some(&Verdict::Success));
    }

    /// The provider asked this call to slow down, whether or not it answered some of it.
    ///
    /// The pause is the pacer's.
    pub(in crate::gate) fn rate_limited(&mut self) {
        self.usage.rate_limited += 1;
        self.wake = true;
    }

    fn plugin_fault(&mut self, message: &str, current: bool, now: Moment) {
        if !current {
            return;
        }
        self.history
            .error(&format!("plugin_fault: {message}"), now.unix_ms);
        self.plugin_faults = self.plugin_faults.saturating_add(1);
        if self.plugin_faults >= self.config.plugin_faults.get() {
            self.quarantine(Some(self.config.quarantine), now);
        }
    }
}
