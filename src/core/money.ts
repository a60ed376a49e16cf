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
