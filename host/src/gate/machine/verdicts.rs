//! How a call ends.

use super::{Event, ForcedState, Identity, Machine, Moment, Ticket, Verdict};

impl Machine {
    /// Ends a call; `None`: it was dropped without a verdict.
    pub(in crate::gate) fn finish(
        &mut self,
        ticket: Ticket,
        verdict: Option<Verdict>,
        now: Moment,
    ) {
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
                self.succeed(&ticket, decides, now);
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
                self.fail(&ticket, now);
            }
            Some(Verdict::Neutral { class: _ }) => {
                self.totals.neutral += 1;
                self.give_back(&ticket, now);
            }
            Some(Verdict::RateLimited { retry_after }) => {
                self.totals.rate_limited += 1;
                self.usage.rate_limited += 1;
                self.give_back(&ticket, now);
                self.pause.ask(retry_after, ticket.taken_at, now.at);
                self.wake = true;
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

    fn succeed(&mut self, ticket: &Ticket, decides: bool, now: Moment) {
        // First the breaker, so that its transition still shows the failures before.
        if let Some(generation) = ticket.generation {
            if self.is_forced(ForcedState::Disabled) {
                self.tell_breaker(Event::GiveBack { generation }, now);
            } else {
                self.tell_breaker(Event::Succeed { generation }, now);
            }
        }
        if !decides {
            return;
        }
        self.history.success(now.unix_ms);
        self.plugin_faults = 0;
        self.pause.answered(ticket.taken_at);
    }

    fn fail(&mut self, ticket: &Ticket, now: Moment) {
        let Some(generation) = ticket.generation else {
            return;
        };
        let silenced = self.is_forced(ForcedState::Closed) || self.is_forced(ForcedState::Disabled);
        let event = if silenced {
            Event::GiveBack { generation }
        } else {
            Event::Fail { generation }
        };
        self.tell_breaker(event, now);
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
