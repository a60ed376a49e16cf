import { AppError } from '../core/errors.ts';
import type { Described, Option, Values } from './command.ts';
import { checkOf, meaningOf } from './options.ts';
import { needsOf } from './usage.ts';
import { unreadable } from './values.ts';
import { nearest } from './words.ts';

/** One thing that is wrong with the arguments. */
export interface Fault {
  /** The option or argument it is about; null: the command line as a whole. */
  readonly option: string | null;
  readonly message: string;
}

/** The command line is not as the usage says (`usage`), or only values in it can't be (`value`). All faults at once. */
export class ArgumentError extends Error {
  override readonly name = 'ArgumentError';
  readonly kind: 'usage' | 'value';
  readonly faults: readonly Fault[];

  /** `tail`: what is said below the faults. */
  constructor(kind: 'usage' | 'value', faults: readonly Fault[], tail?: string) {
    super([...faults.map((fault) => fault.message), ...(tail === undefined ? [] : [tail])].join('\n'));
    this.kind = kind;
    this.faults = faults;
  }
}

export interface Parsed {
  readonly values: Values;
  readonly positionals: readonly string[];
}

/**
 * Reads arguments as `--name value`, `--name=value`, `--flag` and plain ones; `--` ends the options. Throws one ArgumentError with
 * everything that is wrong: options that there are not, values that are missing or can't be, and what is left out.
 */
export function parseArguments(command: Described, args: readonly string[]): Parsed {
  const usage: Fault[] = [];
  const { values, positionals } = readTokens(command, args, usage);
  const given = new Set([...Object.keys(values), ...usage.flatMap(({ option }) => option ?? [])]);
  usage.push(...missing(command, values, given), ...placesFaults(command, positionals));
  const value = [...valueFaults(command, values), ...fileFaults(command, positionals)];
  if (usage.length > 0) {
    throw new ArgumentError(
      'usage',
      [...usage, ...value],
      `usage: tollgate ${command.name} ${command.usage}`.trimEnd(),
    );
  }
  if (value.length > 0) throw new ArgumentError('value', value);
  return { values, positionals };
}

function readTokens(command: Described, args: readonly string[], faults: Fault[]): Parsed {
  const options: Readonly<Record<string, Option>> = { ...command.options, json: { type: 'boolean' } };
  const values: Record<string, string | boolean | string[]> = {};
  const positionals: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    if (arg === '--') {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      positionals.push(arg);
      continue;
    }
    const [, name = arg, inline] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(arg) ?? [];
    const option = options[name];
    const fault = (message: string) => faults.push({ option: name, message });
    if (option === undefined) {
      fault(unknownOption(command, arg.replace(/=.*$/s, '')));
      // What stands behind it was most likely meant for it.
      if (inline === undefined && isValue(args[at + 1]) && positionalsOf(command).least === 0) at += 1;
    } else if (option.type === 'boolean') {
      if (inline === undefined) values[name] = true;
      else fault(`--${name} takes no value`);
    } else {
      const next = args[at + 1];
      const value = inline ?? (isValue(next) ? next : undefined);
      if (inline === undefined && value !== undefined) at += 1;
      if (value === undefined || value === '') fault(`--${name} needs a value${meaning(command, name)}`);
      else if (option.multiple === true) values[name] = [...((values[name] as string[] | undefined) ?? []), value];
      else if (name in values) fault(`--${name} is given twice`);
      else values[name] = value;
    }
  }
  return { values, positionals };
}

/** A value that begins with a dash is written behind `=`. */
const isValue = (arg: string | undefined): arg is string =>
  arg !== undefined && (!arg.startsWith('-') || arg === '-' || /^-\d/.test(arg));

function unknownOption(command: Described, given: string): string {
  const names = Object.keys({ ...command.options, json: {}, help: {} }).map((name) => `--${name}`);
  const near = nearest(given, names);
  return `${command.name} has no option ${given}${near === null ? '' : `; did you mean ${near}?`}`;
}

function missing(command: Described, values: Values, given: ReadonlySet<string>): Fault[] {
  const { groups, within } = needsOf(command.usage);
  const needed = command.needs?.(values) ?? groups;
  const absent = needed
    .filter((group) => !group.some((name) => given.has(name)))
    .map((group) => ({
      option: group[0] ?? null,
      message: `${group.map((name) => `--${name}`).join(' or ')} is missing${group.length === 1 ? meaning(command, group[0] ?? '') : ''}`,
    }));
  const alone = [...within]
    .filter(([name, outer]) => name in values && !given.has(outer))
    .map(([name, outer]) => ({ option: name, message: `--${name} needs --${outer}` }));
  return [...absent, ...alone];
}

function meaning(command: Described, name: string): string {
  const said = meaningOf(command, name);
  return said === '' ? '' : `: ${said}`;
}

/** How many plain arguments a command takes; the last may stand for several: `FILE...`. */
function positionalsOf(command: Described): { least: number; most: number } {
  const wanted = command.positionals ?? [];
  const isOpen = wanted.at(-1)?.endsWith('...') === true;
  return { least: wanted.length, most: isOpen ? Number.POSITIVE_INFINITY : wanted.length };
}

function placesFaults(command: Described, positionals: readonly string[]): Fault[] {
  const { least, most } = positionalsOf(command);
  const wanted = command.positionals ?? [];
  const absent = wanted.slice(positionals.length).map((name) => ({ option: name, message: `${name} is missing` }));
  const extra = positionals.length > most ? positionals.slice(least) : [];
  return [...absent, ...extra.map((arg) => ({ option: null, message: `"${arg}" is too much: nothing takes it` }))];
}

function valueFaults(command: Described, values: Values): Fault[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const check = checkOf(command, name);
    if (check === null) return [];
    return [value].flat().flatMap((one) => {
      try {
        check({ ...values, [name]: one }, name);
        return [];
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return [
          {
            option: name,
            message: error.message.includes(`--${name}`) ? error.message : `--${name}: ${error.message}`,
          },
        ];
      }
    });
  });
}

function fileFaults(command: Described, positionals: readonly string[]): Fault[] {
  if (command.positionals?.[0]?.startsWith('FILE') !== true) return [];
  return positionals.flatMap((file) => {
    const message = unreadable(file);
    return message === null ? [] : [{ option: command.positionals?.[0] ?? null, message }];
  });
}
