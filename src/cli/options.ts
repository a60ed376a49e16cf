import { normalizeAddress, normalizeDomain } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { parseDate, requireTimeZone } from '../core/period.ts';
import type { Check, Described } from './command.ts';
import { required, requiredId, unreadable } from './values.ts';

/** What options mean, unless a command says otherwise; ids are taken as UUIDs and as the API's ids. */
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
  scope: 'for whom the entry holds, as in the usage',
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
  to: 'accepted before; a day means its end',
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
  product: 'product that is billed; unless given, mailbox-protection',
  'large-changes': 'plan quantities that change more than is usual too, which are held otherwise',
  settings: 'JSON file with settings of the connection (integrations/README.md)',
  force: 'although the record was not found in the DNS',
  ed25519: 'an Ed25519 key instead of RSA',
  network: 'CIDR such as 203.0.113.0/28',
  'spam-score': 'points from which outbound mail is spam',
  spam: 'what is done with it',
  phish: 'what is done with it',
  malware: 'what is done with it',
  'recipients-per-hour': 'a number, or "default"',
  'first-time-recipients-per-day': 'a number of recipients never written to before, or "default"',
  'recipient-servers': "also through regions of the recipient's own servers",
  recipient: 'address that it was sent to',
  sender: 'envelope sender; <> is the null sender of delivery reports',
  subject: 'any part of the subject',
  text: 'any part of subject, sender or recipient',
  'message-id': 'Message-ID header, with or without its angle brackets',
  attachment: 'any part of the name of an attached file',
  ip: 'address of the server that it came from',
  verdict: 'what the filter thought; may be given more than once',
  disposition: 'where it is or how it ended; may be given more than once',
  from: 'accepted at or after: 2026-10-14, 2026-10-14T09:30 or 2026-10-14T09:30:00Z',
  first: 'at most so many, 50 unless given',
  allow: 'put the sender on the allow list too',
  match: 'the address or its whole domain; unless given, the address',
  body: 'print the text of the message too',
  roles: 'gateway, api, worker, separated by commas; unless given, all',
};

/** What an option of a command means. */
export function meaningOf(command: Described, name: string): string {
  return command.options[name]?.help ?? MEANING[name] ?? '';
}

const readable: Check = (values, name) => {
  const fault = unreadable(required(values, name));
  if (fault !== null) throw new AppError('invalid_input', fault, { field: name });
};

const mailAddress: Check = (values, name) => {
  if (normalizeAddress(required(values, name)) === null)
    throw new AppError('invalid_input', `--${name} is not a mail address`, { field: name });
};

/** What a value must be, by the name of the option, unless a command says otherwise. */
const CHECKS: Readonly<Record<string, Check>> = {
  ...Object.fromEntries(
    ['partner', 'client', 'connection', 'key', 'plan', 'entry', 'credential', 'delivery'].map((name) => [
      name,
      requiredId,
    ]),
  ),
  zone: (values, name) => requireTimeZone(required(values, name), name),
  domain(values, name) {
    if (normalizeDomain(required(values, name)) === null)
      throw new AppError('invalid_input', `"${required(values, name)}" is not a domain`, { field: name });
  },
  day: (values, name) => parseDate(required(values, name), name),
  mailbox: mailAddress,
  recipient: mailAddress,
  credentials: readable,
  settings: readable,
  'password-file': readable,
};

/** Null: any text will do, or it is no text. */
export function checkOf(command: Described, name: string): Check | null {
  const option = command.options[name];
  if (option === undefined || option.type !== 'string') return null;
  return option.check ?? CHECKS[name] ?? null;
}
