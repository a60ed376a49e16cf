/** Money is a whole number of the currency's minor unit, never a float. */
export interface Money {
  readonly minor: bigint;
  /** ISO 4217 */
  readonly currency: string;
}

/** Digits after the point, from the currency's own rule (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD. */
export function minorDigits(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

/** The amount as a decimal string, `12.30`. */
export function decimal(money: Money): string {
  const digits = minorDigits(money.currency);
  const negative = money.minor < 0n;
  const text = (negative ? -money.minor : money.minor).toString().padStart(digits + 1, '0');
  const whole = text.slice(0, text.length - digits);
  return `${negative ? '-' : ''}${whole}${digits === 0 ? '' : `.${text.slice(text.length - digits)}`}`;
}

/**
 * An amount with its currency as one text, `12.30 USD`: at least the currency's own digits, and more where a unit price has them.
 * `amount` is decimal, as PSAs and the database write it. Throws RangeError for what is none.
 */
export function moneyText(amount: string, currency: string): string {
  const match = /^(-?\d+)(?:\.(\d*))?$/.exec(amount);
  if (match?.[1] === undefined || !/^[A-Z]{3}$/.test(currency))
    throw new RangeError(`${amount} ${currency} is no money`);
  const fraction = (match[2] ?? '').replace(/0+$/, '').padEnd(minorDigits(currency), '0');
  return `${match[1]}${fraction === '' ? '' : `.${fraction}`} ${currency}`;
}
