// Numbers and times as people read them. Amounts never pass through a floating point number.

const counts = new Intl.NumberFormat('en-US');

/** A count; null and undefined are unknown and say so. */
export function count(value) {
  return typeof value === 'number' ? counts.format(value) : 'unknown';
}

/** `1 cell`, `2 cells`. */
export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/**
 * An amount of the smallest unit, a decimal string, as a whole and a fractional part. Null when it is
 * no amount: the caller says `unknown`, never zero.
 */
export function amount(text, decimals) {
  if (typeof text !== 'string' || !/^-?\d+$/.test(text)) return null;
  const value = BigInt(text);
  const digits = (value < 0n ? -value : value).toString();
  const sign = value < 0n ? '−' : '';
  if (!Number.isInteger(decimals) || decimals < 0) {
    return { whole: sign + grouped(digits), fraction: '', unit: 'of the smallest unit' };
  }
  const padded = digits.padStart(decimals + 1, '0');
  const point = padded.length - decimals;
  const fraction = padded.slice(point).replace(/0+$/, '');
  return {
    whole: sign + grouped(padded.slice(0, point)),
    fraction: fraction === '' ? '' : `.${fraction}`,
    unit: null,
  };
}

function grouped(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, ',');
}

/** An amount as one string, or `unknown`. */
export function amountText(text, decimals) {
  const parts = amount(text, decimals);
  if (parts === null) return 'unknown';
  return parts.whole + parts.fraction + (parts.unit ? ` ${parts.unit}` : '');
}

/** A length of time in at most two units: `640 ms`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms) {
  if (typeof ms !== 'number' || !Number.isFinite(ms)) return 'unknown';
  if (ms >= 0 && ms < 1000) return `${Math.round(ms)} ms`;
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 10) return s % 60 === 0 ? `${min} min` : `${min} min ${s % 60} s`;
  if (min < 60) return `${min} min`;
  const hours = Math.floor(min / 60);
  if (hours < 24) return min % 60 === 0 ? `${hours} h` : `${hours} h ${min % 60} min`;
  const days = Math.floor(hours / 24);
  return days >= 10 || hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** The part that is done, in whole percent, never rounded up to 100. */
export function percent(done, all) {
  if (typeof done !== 'number' || typeof all !== 'number' || all <= 0) return null;
  return Math.min(100, Math.floor((done / all) * 100));
}

/** A time as `2026-11-21 00:00:00 UTC`. */
export function utc(iso) {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? String(iso) : `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** A word of the API as people write it: `rate_limited` becomes `rate limited`. */
export function plain(word) {
  return String(word).replaceAll('_', ' ');
}
