import { packageVersion } from '../config/root.ts';
import type { Described } from './command.ts';
import { meaningOf } from './options.ts';

/** All commands, one paragraph each. */
export function helpText(commands: readonly Described[]): string {
  const lines = commands.map((one) => `${`  tollgate ${one.name} ${one.usage}`.trimEnd()}\n      ${one.summary}`);
  return [
    `Tollgate ${packageVersion()}`,
    '',
    ...lines,
    '',
    'tollgate help COMMAND says more of one. Add --json for JSON. Settings: docs/config.md',
    '',
  ].join('\n');
}

/** One command: usage, options with what they mean, an example. */
export function commandHelp(command: Described): string {
  const options = Object.keys({ ...command.options, json: {}, help: {} });
  const width = Math.max(...options.map((name) => name.length));
  const rows = options.map((name) => `  --${name.padEnd(width)}  ${meaningOf(command, name)}`.trimEnd());
  return [
    command.summary,
    '',
    `usage: tollgate ${command.name} ${command.usage}`.trimEnd(),
    '',
    ...rows,
    ...(command.notes === undefined ? [] : ['', command.notes]),
    ...(command.example === undefined ? [] : ['', `example: tollgate ${command.name} ${command.example}`.trimEnd()]),
    '',
  ].join('\n');
}

/** Commands whose name begins with these words: `billing` is all of billing. */
export function commandsUnder(commands: readonly Described[], words: readonly string[]): Described[] {
  const text = words.join(' ');
  const exact = commands.filter((one) => one.name === text);
  return exact.length > 0 ? exact : commands.filter((one) => one.name.startsWith(`${text} `));
}
