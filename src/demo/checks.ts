import { isDeepStrictEqual } from 'node:util';
import { renderTable } from './table.ts';

interface Check {
  readonly name: string;
  readonly expected: string;
  readonly seen: string;
  readonly ok: boolean;
}

/** What the demo claims, each with what was expected and what was seen. */
export class Checks {
  readonly #all: Check[] = [];

  equal(name: string, expected: unknown, seen: unknown): void {
    this.#all.push({ name, expected: text(expected), seen: text(seen), ok: isDeepStrictEqual(expected, seen) });
  }

  get failed(): number {
    return this.#all.filter((check) => !check.ok).length;
  }

  render(): string {
    const rows = this.#all.map((check) => [check.ok ? '✓' : '✗', check.name, check.expected, check.seen]);
    return renderTable(['', 'checked', 'expected', 'seen'], rows);
  }
}

function text(value: unknown): string {
  const shown =
    typeof value === 'string' ? value : typeof value === 'number' ? value.toLocaleString('en') : JSON.stringify(value);
  return shown.length > 60 ? `${shown.slice(0, 59)}…` : shown;
}
