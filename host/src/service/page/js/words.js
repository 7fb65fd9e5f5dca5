// What the API's words mean to people, and what on this page needs somebody's attention.

import { plain, plural, duration } from './format.js';

const STATES = {
  closed: 'closed',
  open: 'open',
  half_open: 'half-open',
  held: 'held',
  forced_open: 'forced open',
  forced_closed: 'forced closed',
  disabled: 'breaker disabled',
  quarantined: 'quarantined',
};

const REASONS = {
  circuit_open: 'its circuit is open after repeated failures',
  half_open_busy: 'its circuit is half-open and a trial call is on its way',
  held_wrong_chain: 'held: it serves another network than the one configured',
  held_unauthorized: 'held: it refused the key or the plan',
  held_quota: 'held: its allowance is spent',
  held_mismatch: 'held: two others tell other amounts than it',
  forced_open: 'an operator shut it',
  quarantined: 'its plugin is in quarantine after repeated faults',
  retry_after: 'it asked for a pause',
  paced: 'its limits leave no room now',
  identity_pending: 'it has not yet said which network it serves',
  not_loaded: 'it could not be loaded',
};

const CAUSES = {
  failures: 'failures in a row',
  failure_ratio: 'too many failures',
  slow_ratio: 'too many slow calls',
  probe_failed: 'the trial call failed',
  probe_succeeded: 'the trial call succeeded',
  cooldown_over: 'the cooldown is over',
  wrong_chain: 'it serves another network',
  unauthorized: 'it refused the key',
  quota: 'its allowance is spent',
  mismatch: 'two others tell other amounts',
  hold_over: 'the hold is over',
  forced: 'by an operator',
  force_over: 'the forced state ended',
  released: 'released by an operator',
  quarantined: 'its plugin is in quarantine',
  quarantine_over: 'the quarantine is over',
};

/** A gate's state. */
export const stateWord = (state) => STATES[state] ?? plain(state ?? 'not loaded');

/** What made a gate change. */
export const causeWord = (cause) => CAUSES[cause] ?? plain(cause);

/**
 * Cells that a pass does not know. One that ended early has not asked all of them, and those are as
 * unknown as those that nobody answered.
 */
export function unknownOf(scan) {
  if (!scan) return null;
  const early = scan.status !== 'running' && scan.status !== 'complete';
  return early && typeof scan.cells === 'number' ? scan.unknown + Math.max(0, scan.cells - scan.asked) : scan.unknown ?? null;
}

/** How a pass ended. */
export const scanWord = (status) => plain(status);

/** One id for a provider's gate. */
export const providerKey = (it) => `${it.chain}/${it.provider}/${it.type}`;

/** Whether a state was set by an operator. */
export const isForced = (it) => it.forced !== null && it.forced !== undefined;

/** Whether anything was ever asked of a provider; before that its health is not known. */
export const wasAsked = (it) => it.status !== 'healthy' || Boolean(it.last_success || it.last_error);

/** The mark beside a provider's name: `good`, `warn`, `bad`, or `off` for what says nothing. */
export function levelOf(provider) {
  if (!wasAsked(provider)) return 'off';
  return { healthy: 'good', degraded: 'warn', down: 'bad' }[provider.status] ?? 'off';
}

/** Why a provider is as it is, in one or two sentences; null where nothing is to be said. */
export function reasonOf(provider) {
  const parts = [];
  const forced = isForced(provider) ? provider.forced : null;
  if (forced) parts.push(`an operator ${forcedVerb(forced.state)}: ${forced.reason || 'no reason given'}`);
  const said = saidOf(provider);
  if (said && !(forced && provider.why === 'forced_open')) parts.push(said);
  if (provider.status !== 'healthy' && provider.consecutive_fails > 0 && !provider.hold) {
    parts.push(`${plural(provider.consecutive_fails, 'failure')} since its last answer`);
  }
  if (parts.length === 0 && provider.status !== 'healthy') parts.push(stateWord(provider.state));
  return parts.length === 0 ? null : sentence(parts.join('; '));
}

/** What keeps work from it. Its last error stands beside this, so it is not said here too. */
function saidOf({ why, reason, hold, state }) {
  if (hold) return REASONS[why] ? `${REASONS[why]}: ${hold.reason}` : hold.reason;
  if (state === null && reason) return `it could not be loaded: ${reason}`;
  if (state === 'half_open' && why !== 'half_open_busy') return 'its circuit is half-open: its next call is a trial';
  return REASONS[why] ?? reason ?? (why ? plain(why) : null);
}

/** Its last error for people, if it tells more than the reason does. */
export function errorOf(provider) {
  const said = provider.last_error_msg;
  if (!said || provider.hold?.reason?.includes(said) || said.includes(provider.hold?.reason ?? '\n')) return null;
  return said.replace(/^[a-z_]+ \((HTTP \d+)\): (?=\1\b)/, '');
}

function forcedVerb(state) {
  return { open: 'shut it', closed: 'keeps it closed', disabled: 'switched its breaker off' }[state] ?? plain(state);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What comes when a provider's state ends: the words before a time, after it, and without one. */
export function endOf(provider) {
  if (isForced(provider)) return { lead: 'ends', passed: 'ends now', none: 'until it is released' };
  if (provider.state === 'open') return { lead: 'tried again', passed: 'a trial call is due', none: 'no end known' };
  if (provider.state === 'held') return { lead: 'looked at again', passed: 'a new look is due', none: 'until its configuration changes' };
  return { lead: 'goes on', passed: 'goes on about now', none: null };
}

/** When the present state ends. */
export const untilOf = (provider) => provider.until ?? provider.forced?.until ?? provider.hold?.until ?? null;

/** Whether a chain's last pass came to nothing by itself. */
export const brokeOff = ({ last_scan: last }) => last?.status === 'gave_up' || last?.status === 'broken';

/** A word and a sentence on why a chain's balances are not what its operator expects; null when they are. */
export function stalenessOf(chain, at) {
  const last = chain.last_scan;
  const complete = chain.last_complete_at ? Date.parse(chain.last_complete_at) : null;
  if (chain.trouble) return ['not scanned', `Its last scan could not begin: ${chain.trouble}`];
  if (brokeOff(chain)) {
    return ['stale', `Its last pass ${last.status === 'gave_up' ? 'gave up' : 'broke'}${last.message ? `: ${last.message}` : ''}`];
  }
  if (complete === null) return chain.scan ? null : ['not scanned', 'No pass of it was ever complete'];
  if (typeof chain.every_ms === 'number' && at - complete > 2 * chain.every_ms) {
    return ['stale', `Its last complete pass is ${duration(at - complete)} old; one is due every ${duration(chain.every_ms)}`];
  }
  return null;
}
