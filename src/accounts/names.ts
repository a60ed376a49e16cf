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
