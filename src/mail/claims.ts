import { fieldValue, headerEnd, splitFields } from './fields.ts';
import { withoutComments } from './received.ts';

/**
 * Whether a message names more than one author: several From fields, or several addresses in one. Readers show any of them, so
 * a check of the first proves nothing.
 */
export function hasSeveralAuthors(message: Buffer): boolean {
  const { header } = headerEnd(message);
  const fields = splitFields(message.subarray(0, header)).filter((field) => field.name === 'from');
  if (fields.length !== 1) return fields.length > 1;
  const value = withoutComments(fields.map(fieldValue).join('').slice(0, 65_536)).replace(/"(?:[^"\\]|\\.)*"/g, '');
  const parts = value.split(/[,;]/).filter((part) => part.includes('@'));
  return parts.length > 1 || (value.match(/</g)?.length ?? 0) > 1;
}
