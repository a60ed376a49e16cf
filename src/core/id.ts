import { v7, validate } from 'uuid';

/** A new time-ordered identifier (UUID version 7, RFC 9562 section 5.7): index pages fill in order. */
export function newId(): string {
  return v7();
}

export function isId(text: string): boolean {
  return validate(text);
}
