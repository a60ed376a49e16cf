/**
 * ConnectWise's condition language, as far as the developer guide describes it. Anything else is a syntax error, so that
 * a value which escapes from its quotes is seen and does not pass for a filter.
 */
export type Predicate = (record: unknown) => boolean;

interface Token {
  readonly kind: 'word' | 'text' | 'number' | 'date' | 'operator' | 'mark';
  readonly text: string;
}

export class ConditionError extends Error {}

const TOKEN =
  /\s*(?:(?<text>"(?:[^"\\]|\\.)*")|(?<date>\[[^\]]*\])|(?<number>-?\d+(?:\.\d+)?)|(?<word>[A-Za-z][\w/]*)|(?<operator>!=|<=|>=|=|<|>)|(?<mark>[(),]))/uy;

function tokens(source: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  let end = 0;
  while (source.slice(end).trim() !== '') {
    TOKEN.lastIndex = end;
    const match = TOKEN.exec(source);
    if (match === null) throw new ConditionError(`unexpected text at ${end}`);
    const kind = (['text', 'date', 'number', 'word', 'operator', 'mark'] as const).find(
      (name) => match.groups?.[name] !== undefined,
    );
    if (kind === undefined) throw new ConditionError(`unexpected text at ${end}`);
    found.push({ kind, text: match.groups?.[kind] ?? '' });
    end = TOKEN.lastIndex;
  }
  return found;
}

type Value = string | number | boolean | Date;

/** Parses `conditions`; `fields` are the paths that the entity knows. Throws ConditionError. */
export function parseConditions(source: string, fields: ReadonlySet<string>): Predicate {
  const list = tokens(source);
  let at = 0;
  const peek = () => list[at]?.text.toLowerCase();
  const next = (): Token => {
    const token = list[at];
    if (token === undefined) throw new ConditionError('the condition ends too early');
    at += 1;
    return token;
  };
  const expect = (text: string) => {
    if (next().text.toLowerCase() !== text) throw new ConditionError(`${text} expected`);
  };

  const either = (): Predicate => {
    let left = both();
    while (peek() === 'or') {
      next();
      const [a, b] = [left, both()];
      left = (record) => a(record) || b(record);
    }
    return left;
  };
  const both = (): Predicate => {
    let left = one();
    while (peek() === 'and') {
      next();
      const [a, b] = [left, one()];
      left = (record) => a(record) && b(record);
    }
    return left;
  };
  const one = (): Predicate => {
    if (peek() === '(') {
      next();
      const inner = either();
      expect(')');
      return inner;
    }
    const field = next();
    if (field.kind !== 'word' || !fields.has(field.text)) throw new ConditionError(`no field ${field.text}`);
    const not = peek() === 'not';
    if (not) next();
    const test = comparison();
    return (record) => test(fieldOf(record, field.text)) !== not;
  };
  const comparison = (): ((found: unknown) => boolean) => {
    const operator = next().text.toLowerCase();
    if (operator === 'in') {
      expect('(');
      const values = [value()];
      while (peek() === ',') {
        next();
        values.push(value());
      }
      expect(')');
      return (found) => values.some((wanted) => compare(found, wanted) === 0);
    }
    const wanted = value();
    switch (operator) {
      case 'contains':
        return (found) => lower(found).includes(lower(wanted));
      case 'like':
        return (found) => like(lower(found), lower(wanted));
      case '=':
        return (found) => compare(found, wanted) === 0;
      case '!=':
        return (found) => compare(found, wanted) !== 0;
      case '<':
      case '<=':
      case '>':
      case '>=':
        return (found) => {
          const order = compare(found, wanted);
          if (order === null) return false;
          return operator.startsWith('<')
            ? order < 0 || (operator === '<=' && order === 0)
            : order > 0 || (operator === '>=' && order === 0);
        };
      default:
        throw new ConditionError(`no operator ${operator}`);
    }
  };
  const value = (): Value => {
    const token = next();
    if (token.kind === 'text') return token.text.slice(1, -1).replace(/\\(.)/g, '$1');
    if (token.kind === 'number') return Number(token.text);
    if (token.kind === 'date') {
      const date = new Date(token.text.slice(1, -1));
      if (Number.isNaN(date.getTime())) throw new ConditionError('a date is not valid');
      return date;
    }
    if (/^(true|false)$/i.test(token.text)) return token.text.toLowerCase() === 'true';
    throw new ConditionError(`a value expected, not ${token.text}`);
  };

  const whole = either();
  if (at < list.length) throw new ConditionError(`unexpected ${list[at]?.text ?? ''}`);
  return whole;
}

function fieldOf(record: unknown, path: string): unknown {
  return path
    .split('/')
    .reduce<unknown>(
      (inner, name) =>
        typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[name] : undefined,
      record,
    );
}

const lower = (value: unknown) => String(value ?? '').toLowerCase();

/** `*` and `%` stand for any text; runs in time linear to the text for the one wildcard kind there is. */
function like(text: string, pattern: string): boolean {
  const parts = pattern.split(/[*%]/);
  let from = 0;
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && index > 0) return text.length >= from + part.length && text.endsWith(part);
    const found = text.indexOf(part, from);
    if (found < 0 || (index === 0 && found !== 0)) return false;
    from = found + part.length;
  }
  return from === text.length;
}

/** Negative, zero, positive; null when the two have no order. Texts compare without case, as SQL Server does. */
function compare(found: unknown, wanted: Value): number | null {
  if (wanted instanceof Date) {
    const time = typeof found === 'string' ? Date.parse(found) : Number.NaN;
    return Number.isNaN(time) ? null : time - wanted.getTime();
  }
  if (typeof wanted === 'number') return typeof found === 'number' ? found - wanted : null;
  if (typeof wanted === 'boolean') return (found === true) === wanted ? 0 : 1;
  if (typeof found !== 'string') return null;
  const [a, b] = [found.toLowerCase(), wanted.toLowerCase()];
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
