import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { normalizeDomain } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { type CertificateFiles, readCertificate } from './certificate.ts';
import { decodeKey, NO_KEY } from './secrets.ts';

export const ROLES = ['gateway', 'api', 'worker'] as const;
export type Role = (typeof ROLES)[number];

/** Everything that can be set, typed and frozen. Secrets are apart (secrets.ts). docs/config.md lists the names. */
export interface Config {
  readonly home: string;
  readonly bindHost: string;
  readonly httpPort: number;
  /** Origin of links in mail, without a slash at the end. Null: where HTTP listens. */
  readonly publicUrl: string | null;
  readonly smtpPort: number;
  readonly submissionPort: number;
  /** Null: the embedded PostgreSQL under `home`. */
  readonly databaseUrl: string | null;
  /** Null: jobs run on PostgreSQL. */
  readonly queueUrl: string | null;
  /** Folder of message bodies and rendered reports. */
  readonly contentDir: string;
  /** Null: the system's resolver. */
  readonly dns: { readonly host: string; readonly port: number } | null;
  /** Relays and PSA hosts on private addresses are refused unless they are listed. */
  readonly allowPrivateHosts: readonly string[];
  readonly roles: readonly Role[];
  /** Names this node in the ledger and in watermarks; stays the same over restarts. */
  readonly nodeId: string;
  /** The name in greeting, EHLO, Received and Authentication-Results. */
  readonly hostName: string;
  /** Of the SMTP ports. Null: they do not offer STARTTLS. */
  readonly certificate: CertificateFiles | null;
  /** Without a certificate logins are taken from everywhere, and not from loopback only. */
  readonly plainAuth: boolean;
  /** Own address from which second-chance deliveries leave; null: the usual one. */
  readonly secondSource: string | null;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Bytes; larger mail is refused with 552. */
  readonly maxMessageBytes: number;
  readonly maxRecipients: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  /** An unknown recipient of a client whose directory changed this recently is deferred, not refused. */
  readonly directoryGraceSeconds: number;
  /** How long a client's server may fail before an incident opens. */
  readonly serverDownSeconds: number;
  /** How long a report waits for its period to be complete. */
  readonly reportWaitSeconds: number;
  /** Days that the detail of mail (events, deliveries, messages) is kept; the counts stay. */
  readonly detailDays: number;
  /** Threads that parse and score. */
  readonly scanThreads: number;
  /** The domain of rewritten senders of forwarded mail; notifications come back to it. */
  readonly srsDomain: string;
  /** The domain whose SPF record names this gateway's addresses, for advice; null: none. */
  readonly spfInclude: string | null;
  /** The domain of the addresses that take DMARC and TLS reports; null: there are none. */
  readonly reportDomain: string | null;
  /** The gateway's own ARC key; null: changed mail is not sealed. */
  readonly arc: { readonly domain: string; readonly selector: string; readonly keyFile: string } | null;
  /** Where this node stands, for clients whose mail must stay in certain regions; null: it is in none. */
  readonly region: string | null;
  /** DNS lists of sending addresses: block lists with points above 0, allow lists with points below. */
  readonly dnsLists: readonly DnsListSetting[];
  readonly scanners: ScannerSetting;
  /** File of hosts that links are to be warned of; null: none. */
  readonly linkList: string | null;
}

/** Outside scanners; null: without. */
export interface ScannerSetting {
  readonly rspamdUrl: string | null;
  readonly clamd: { readonly host: string; readonly port: number } | { readonly path: string } | null;
  readonly timeoutMs: number;
  /** Mail while a scanner is down: goes on without it, or waits at the sender (451). */
  readonly down: 'accept' | 'defer';
}

export interface DnsListSetting {
  readonly zone: string;
  readonly points: number;
  /** Mail from listed addresses is refused at RCPT. */
  readonly reject: boolean;
}

const NO_PORT = 'is not a port: a whole number from 1 to 65535, or 0 for a free one';
const port = z.coerce.number(NO_PORT).int(NO_PORT).min(0, NO_PORT).max(65_535, NO_PORT);
const whole = (min: number, max: number) => {
  const error = `is not a whole number from ${min} to ${max}`;
  return z.coerce.number(error).int(error).min(min, error).max(max, error);
};
const seconds = whole(0, 86_400 * 14);

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, pathname, search, hash, username } = new URL(text);
  return /^https?:$/.test(protocol) && pathname === '/' && search === '' && hash === '' && username === '';
}

const schema = z.object({
  TOLLGATE_HOME: z.string().min(1).default('./.tollgate'),
  BIND_HOST: z.union([z.ipv4(), z.ipv6()], 'is not an IP address').default('127.0.0.1'),
  HTTP_PORT: port.default(8080),
  TOLLGATE_PUBLIC_URL: z.string().refine(isOrigin, 'is not an http:// or https:// URL without a path').optional(),
  SMTP_PORT: port.default(2525),
  SUBMISSION_PORT: port.default(2587),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'is not a postgres:// URL')
    .optional(),
  QUEUE_URL: z
    .string()
    .regex(/^rediss?:\/\//, 'is not a redis:// URL')
    .optional(),
  BLOB_URL: z
    .string()
    .regex(/^file:/, 'is not a file: URL')
    .optional(),
  TOLLGATE_DNS: z.string().optional(),
  TOLLGATE_ALLOW_PRIVATE_HOSTS: z.string().default(''),
  TOLLGATE_ROLES: z.string().default(ROLES.join(',')),
  TOLLGATE_NODE: z
    .string()
    .regex(/^[\w.-]{1,63}$/, 'may hold letters, digits, dots, dashes and underscores only')
    .optional(),
  TOLLGATE_HOSTNAME: z.string().optional(),
  TOLLGATE_TLS_CERT: z.string().optional(),
  TOLLGATE_TLS_KEY: z.string().optional(),
  TOLLGATE_PLAIN_AUTH: z.enum(['no', 'yes'], 'is yes or no').default('no'),
  TOLLGATE_SECOND_SOURCE: z.union([z.ipv4(), z.ipv6()], 'is not an IP address').optional(),
  TOLLGATE_LOG: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'], 'is debug, info, warn, error or silent')
    .default('info'),
  TOLLGATE_MAX_MESSAGE_BYTES: whole(1, 1_000_000_000).default(50 * 1024 * 1024),
  TOLLGATE_MAX_RECIPIENTS: whole(1, 1000).default(100),
  TOLLGATE_MAX_CONNECTIONS: whole(1, 100_000).default(1000),
  TOLLGATE_MAX_CONNECTIONS_PER_IP: whole(1, 100_000).default(50),
  TOLLGATE_DIRECTORY_GRACE_SECONDS: seconds.default(900),
  TOLLGATE_SERVER_DOWN_SECONDS: seconds.default(300),
  TOLLGATE_REPORT_WAIT_SECONDS: seconds.default(6 * 3600),
  TOLLGATE_DETAIL_DAYS: whole(30, 3650).default(90),
  TOLLGATE_DNSBL: z.string().default(''),
  TOLLGATE_DNSWL: z.string().default(''),
  TOLLGATE_RSPAMD_URL: z
    .string()
    .regex(/^https?:\/\/[^/\s?#@]+(\/[^\s?#]*)?$/, { error: 'is not an http:// URL', abort: true })
    .refine((text) => URL.canParse(text), 'is not an http:// URL')
    .optional(),
  TOLLGATE_CLAMAV: z.string().optional(),
  TOLLGATE_SCANNER_TIMEOUT_MS: whole(100, 50_000).default(10_000),
  TOLLGATE_SCANNER_DOWN: z.enum(['accept', 'defer'], 'is accept or defer').default('accept'),
  TOLLGATE_LINK_LIST: z.string().optional(),
  TOLLGATE_SCAN_THREADS: whole(1, 64).default(2),
  TOLLGATE_SRS_DOMAIN: z.string().optional(),
  TOLLGATE_SPF_INCLUDE: z.string().optional(),
  TOLLGATE_REPORT_DOMAIN: z.string().optional(),
  TOLLGATE_ARC_DOMAIN: z.string().optional(),
  TOLLGATE_ARC_SELECTOR: z
    .string()
    .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/i, 'is not a selector')
    .optional(),
  TOLLGATE_ARC_KEY: z.string().optional(),
  TOLLGATE_REGION: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'may hold small letters, digits and dashes only')
    .optional(),
});

/** The names of all settings, for docs/config.md and its test. */
export const SETTING_NAMES: readonly string[] = [...Object.keys(schema.shape), 'TOLLGATE_SECRET_KEY'].sort();

/**
 * Reads the settings from the environment. Throws one AppError `config_invalid` that lists every fault, a line each.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const given: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const value = env[name];
    if (value !== undefined && value !== '') given[name] = value;
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith('TOLLGATE_') && !SETTING_NAMES.includes(name))
      faults.push(`${name} is not a setting of Tollgate`);
  }
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) faults.push(`${String(issue.path[0])} ${lowerFirst(issue.message)}`);
  }
  const key = env['TOLLGATE_SECRET_KEY'] ?? '';
  if (key !== '' && decodeKey(key) === null) faults.push(NO_KEY);
  const dns = parseDns(given['TOLLGATE_DNS'], faults);
  const clamd = parseClamd(given['TOLLGATE_CLAMAV'], faults);
  const roles = parseRoles(given['TOLLGATE_ROLES'] ?? ROLES.join(','), faults);
  const dnsLists = [
    ...parseDnsLists('TOLLGATE_DNSBL', given['TOLLGATE_DNSBL'] ?? '', faults),
    ...parseDnsLists('TOLLGATE_DNSWL', given['TOLLGATE_DNSWL'] ?? '', faults),
  ];
  const hostName = normalizeDomain(given['TOLLGATE_HOSTNAME'] ?? '') ?? null;
  if (given['TOLLGATE_HOSTNAME'] !== undefined && hostName === null)
    faults.push('TOLLGATE_HOSTNAME is not a full host name');
  const certificate = parseCertificate(given['TOLLGATE_TLS_CERT'], given['TOLLGATE_TLS_KEY'], faults);
  const srsDomain = parseDomain('TOLLGATE_SRS_DOMAIN', given, faults);
  const spfInclude = parseDomain('TOLLGATE_SPF_INCLUDE', given, faults);
  const reportDomain = parseDomain('TOLLGATE_REPORT_DOMAIN', given, faults);
  if (reportDomain !== null && reportDomain === (srsDomain ?? hostName))
    faults.push('TOLLGATE_REPORT_DOMAIN is the domain of rewritten senders too: it needs one of its own');
  const arc = parseArc(given, faults);
  const ports = ['HTTP_PORT', 'SMTP_PORT', 'SUBMISSION_PORT'] as const;
  if (parsed.success) {
    const used = ports.map((name) => parsed.data[name]).filter((value) => value !== 0);
    if (new Set(used).size !== used.length) faults.push('HTTP_PORT, SMTP_PORT and SUBMISSION_PORT must differ');
  }
  if (!parsed.success || faults.length > 0) {
    throw new AppError('config_invalid', faults.join('\n'));
  }
  const data = parsed.data;
  const home = path.resolve(data.TOLLGATE_HOME);
  const name = hostName ?? normalizeDomain(hostname()) ?? 'tollgate.localdomain';
  return Object.freeze({
    home,
    bindHost: data.BIND_HOST,
    httpPort: data.HTTP_PORT,
    publicUrl: data.TOLLGATE_PUBLIC_URL === undefined ? null : new URL(data.TOLLGATE_PUBLIC_URL).origin,
    smtpPort: data.SMTP_PORT,
    submissionPort: data.SUBMISSION_PORT,
    databaseUrl: data.DATABASE_URL ?? null,
    queueUrl: data.QUEUE_URL ?? null,
    contentDir: data.BLOB_URL === undefined ? path.join(home, 'content') : filePath(data.BLOB_URL),
    dns,
    allowPrivateHosts: data.TOLLGATE_ALLOW_PRIVATE_HOSTS.split(',')
      .map((host) => host.trim())
      .filter((host) => host !== ''),
    roles,
    nodeId:
      data.TOLLGATE_NODE ??
      (hostname()
        .replace(/[^\w.-]/g, '-')
        .slice(0, 63) ||
        'node'),
    hostName: name,
    certificate,
    plainAuth: data.TOLLGATE_PLAIN_AUTH === 'yes',
    secondSource: data.TOLLGATE_SECOND_SOURCE ?? null,
    logLevel: data.TOLLGATE_LOG,
    maxMessageBytes: data.TOLLGATE_MAX_MESSAGE_BYTES,
    maxRecipients: data.TOLLGATE_MAX_RECIPIENTS,
    maxConnections: data.TOLLGATE_MAX_CONNECTIONS,
    maxConnectionsPerIp: data.TOLLGATE_MAX_CONNECTIONS_PER_IP,
    directoryGraceSeconds: data.TOLLGATE_DIRECTORY_GRACE_SECONDS,
    serverDownSeconds: data.TOLLGATE_SERVER_DOWN_SECONDS,
    reportWaitSeconds: data.TOLLGATE_REPORT_WAIT_SECONDS,
    detailDays: data.TOLLGATE_DETAIL_DAYS,
    scanThreads: data.TOLLGATE_SCAN_THREADS,
    srsDomain: srsDomain ?? name,
    spfInclude,
    reportDomain,
    arc,
    region: data.TOLLGATE_REGION ?? null,
    dnsLists,
    linkList: data.TOLLGATE_LINK_LIST === undefined ? null : path.resolve(data.TOLLGATE_LINK_LIST),
    scanners: Object.freeze({
      rspamdUrl: data.TOLLGATE_RSPAMD_URL ?? null,
      clamd,
      timeoutMs: data.TOLLGATE_SCANNER_TIMEOUT_MS,
      down: data.TOLLGATE_SCANNER_DOWN,
    }),
  });
}

function parseDns(text: string | undefined, faults: string[]): Config['dns'] {
  if (text === undefined) return null;
  const match = /^(\[[0-9a-f:]+\]|[\d.]+):(\d{1,5})$/i.exec(text);
  const portNumber = Number(match?.[2]);
  if (match?.[1] === undefined || portNumber < 1 || portNumber > 65_535) {
    faults.push('TOLLGATE_DNS is not IP:PORT, for example 127.0.0.1:5353');
    return null;
  }
  return { host: match[1].replace(/^\[|\]$/g, ''), port: portNumber };
}

function parseClamd(text: string | undefined, faults: string[]): ScannerSetting['clamd'] {
  if (text === undefined) return null;
  if (/^unix:\/./.test(text)) return { path: text.slice('unix:'.length) };
  const match = /^(\[[0-9a-f:]+\]|[\w.-]{1,255}):(\d{1,5})$/i.exec(text);
  const portNumber = Number(match?.[2]);
  if (match?.[1] === undefined || portNumber < 1 || portNumber > 65_535) {
    faults.push('TOLLGATE_CLAMAV is not HOST:PORT or unix:/PATH');
    return null;
  }
  return { host: match[1].replace(/^\[|\]$/g, ''), port: portNumber };
}

function parseCertificate(
  cert: string | undefined,
  key: string | undefined,
  faults: string[],
): CertificateFiles | null {
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined || key === undefined) {
    const [missing, there] = cert === undefined ? ['CERT', 'KEY'] : ['KEY', 'CERT'];
    faults.push(
      `TOLLGATE_TLS_${missing} is missing: TOLLGATE_TLS_${there} is set, and one is nothing without the other`,
    );
    return null;
  }
  const files = { certFile: path.resolve(cert), keyFile: path.resolve(key) };
  try {
    readCertificate(files);
  } catch (error) {
    faults.push(...(error as Error).message.split('\n'));
  }
  return files;
}

function parseDomain(name: string, given: Readonly<Record<string, string>>, faults: string[]): string | null {
  const text = given[name];
  if (text === undefined) return null;
  const domain = normalizeDomain(text);
  if (domain === null) faults.push(`${name} is not a domain`);
  return domain;
}

/** All three or none: half a key would silently seal nothing. */
function parseArc(given: Readonly<Record<string, string>>, faults: string[]): Config['arc'] {
  const names = ['TOLLGATE_ARC_DOMAIN', 'TOLLGATE_ARC_SELECTOR', 'TOLLGATE_ARC_KEY'] as const;
  const [domain, selector, keyFile] = [parseDomain(names[0], given, faults), given[names[1]], given[names[2]]];
  const missing = names.filter((name) => given[name] === undefined);
  if (missing.length > 0 && missing.length < names.length)
    for (const name of missing) faults.push(`${name} is missing: the three ARC settings belong together`);
  if (domain === null || selector === undefined || keyFile === undefined) return null;
  return { domain, selector: selector.toLowerCase(), keyFile: path.resolve(keyFile) };
}

const ZONES_MAX = 10;
const BLOCK_POINTS = { usual: 2, most: 5 };
const ALLOW_POINTS = { usual: 1, most: 2 };

/** `zone`, `zone=POINTS` or, of block lists, `zone=reject`, separated by commas. Points are counted against an allow list's mail. */
function parseDnsLists(
  name: 'TOLLGATE_DNSBL' | 'TOLLGATE_DNSWL',
  text: string,
  faults: string[],
): readonly DnsListSetting[] {
  const isBlock = name === 'TOLLGATE_DNSBL';
  const { usual, most } = isBlock ? BLOCK_POINTS : ALLOW_POINTS;
  const lists: DnsListSetting[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const [host = '', wish = String(usual), ...rest] = part.split('=').map((one) => one.trim());
    const zone = normalizeDomain(host);
    const reject = isBlock && wish === 'reject';
    const points = reject ? most : Number(wish);
    const isGood = zone !== null && rest.length === 0 && points > 0 && points <= most;
    if (!isGood || lists.some((one) => one.zone === zone)) {
      faults.push(`${name} is zone=POINTS,... with points up to ${most}${isBlock ? ', or zone=reject' : ''}`);
      return [];
    }
    lists.push({ zone, points: isBlock ? points : -points, reject });
  }
  if (lists.length > ZONES_MAX) faults.push(`${name} has at most ${ZONES_MAX} zones`);
  return lists;
}

function parseRoles(text: string, faults: string[]): readonly Role[] {
  const names = text.split(',').map((name) => name.trim());
  const roles = ROLES.filter((role) => names.includes(role));
  const unknown = names.filter((name) => !ROLES.some((role) => role === name));
  if (unknown.length > 0) faults.push(`TOLLGATE_ROLES knows ${ROLES.join(', ')}, not "${unknown.join(', ')}"`);
  return roles;
}

function filePath(url: string): string {
  return path.resolve(url.replace(/^file:(\/\/)?/, ''));
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
