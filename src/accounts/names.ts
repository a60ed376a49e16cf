import { printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';

/** A display name as people type it: trimmed, 1 to 200 characters, no control characters. Throws `invalid_input`. */
export function requireName(text: string, field: string): string {
  const name = text.normalize('NFC').trim();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (name === '' || [...name].length > 200 || /[\u0000-\u001f\u007f\u2028\u2029]/.test(name)) {
    throw new AppError('invalid_input', 'a name has 1 to 200 characters and no control characters', { field });
  }
  return name;
}

const REGION = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** The name of a region as it is stored, lower case. Throws `invalid_input`. */
export function requireRegion(text: string, field: string): string {
  const name = text.trim().toLowerCase();
  if (!REGION.test(name)) {
    throw new AppError(
      'invalid_input',
      `"${printable(text)}" is not the name of a region: 1 to 32 letters, digits, dashes`,
      {
        field,
      },
    );
  }
  return name;
}
