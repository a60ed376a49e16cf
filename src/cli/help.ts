import { packageVersion } from '../config/root.ts';
import type { Command } from './command.ts';

/** What `help` shows of a command. */
export type Described = Pick<Command, 'name' | 'usage' | 'summary' | 'options' | 'positionals' | 'notes' | 'example'>;

/** What options mean, where their name alone does not say it; ids are taken as UUIDs and as the API's ids. */
const MEANING: Readonly<Record<string, string>> = {
  partner: 'id of the partner (partner list)',
  client: 'id of the client (client list)',
  mailbox: 'address of a mailbox of the client (mailbox list)',
  connection: 'id of the PSA connection (psa list)',
  key: 'id of the API key (key list)',
  plan: 'id of the plan (billing list); unless given, the newest',
  entry: 'id of the list entry (list show)',
  credential: 'id of the login (credential list)',
  delivery: 'id of the delivery (held list, quarantine list, original list); may be given more than once',
  name: 'its name',
  zone: 'IANA time zone, such as Europe/London',
  domain: 'a domain of the client',
  relay: 'mail server, HOST:PORT; may be given more than once',
  period: 'a month, 2026-10, or days, 2026-10-01..2026-10-14',
  out: 'the file to write; .csv makes CSV, everything else PDF',
  day: 'YYYY-MM-DD; unless given, today in the zone of each client',
  scope: 'as in the usage; of a key: unless given, all scopes; may be given more than once there',
  label: 'what the key is for; shown in the list of keys and in the audit',
  'documents-only': 'the key runs registered documents and nothing else (docs/api.md)',
  state: 'only reports that became this',
  contract: 'id of the contract or agreement in the PSA',
  line: 'id of the line on it (ConnectWise: addition; Autotask: service) whose quantity is set',
  company: 'id of the company in the PSA',
  kind: 'one of those in the usage',
  url: 'address of the PSA, such as https://na.myconnectwise.net',
  credentials: 'JSON file with the credentials (README.md)',
  username: 'the login, as the client gives it to AUTH',
  'password-file': 'file that holds the password',
  selector: 'selector of the DKIM key',
  open: 'only incidents that are open',
  to: 'address outside; unless given, no more is forwarded',
  'no-copy': 'the mailbox itself gets no copy',
  node: 'name of the node (doctor)',
  report: 'which report, as in the usage',
  region: 'region of gateways, as in TOLLGATE_REGION; may be given more than once',
  mx: 'deliver by the MX of the domain',
  'mx-of': 'deliver by the MX of this domain',
  none: 'take away what is set',
  exit: 'end when done',
  messages: 'how many messages are sent',
  json: 'print one line of JSON',
  help: 'print this',
};

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
  const rows = options.map((name) => `  --${name.padEnd(width)}  ${MEANING[name] ?? ''}`.trimEnd());
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

/** The nearest of the words, by letters to change; null: none is near. */
export function nearest(text: string, words: readonly string[]): string | null {
  const ranked = words
    .map((word) => ({ word, distance: distance(text, word) }))
    .toSorted((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= Math.max(2, Math.floor(text.length / 3)) ? best.word : null;
}

/** Levenshtein. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
