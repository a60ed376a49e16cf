import { open } from 'node:fs/promises';
import { normalizeDomain } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import type { HostList } from '../core/filter.ts';
import type { Logger } from '../core/log.ts';
import { isAddress } from './domains.ts';

export interface LinkListOptions {
  readonly file: string;
  readonly logger: Logger;
  /** How often the file is looked at, milliseconds. */
  readonly everyMs?: number;
  readonly limits?: Partial<LinkListLimits>;
}

export interface LinkListLimits {
  readonly bytes: number;
  readonly entries: number;
}

const LIMITS: LinkListLimits = { bytes: 32 * 1024 * 1024, entries: 1_000_000 };
/** Labels above a host that are looked for: `.host` entries of deeper hosts. */
const DEPTH_MAX = 10;

interface Entries {
  readonly hosts: ReadonlySet<string>;
  /** Without their dot: these and all below them. */
  readonly parents: ReadonlySet<string>;
  /** Of the file that they were read from. */
  readonly stamp: string;
  readonly faults: number;
}

/**
 * The operator's file of hosts, a line each: `host` names that host, `.host` all below it and itself, `#` begins a comment. It is
 * read again when it changes. While it is missing, too large or unreadable the last good list stays, with a warning.
 */
export class LinkList implements HostList {
  readonly #options: LinkListOptions;
  #entries: Entries;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;
  #warned = '';

  private constructor(options: LinkListOptions, entries: Entries) {
    this.#options = options;
    this.#entries = entries;
    this.#tell(entries);
  }

  /** Throws `config_invalid` when there is no list to begin with. */
  static async open(options: LinkListOptions): Promise<LinkList> {
    const entries = await readList(options, '').catch((cause: unknown) => {
      throw new AppError('config_invalid', `TOLLGATE_LINK_LIST ${textOf(cause)}`, { cause });
    });
    const list = new LinkList(options, entries ?? NO_ENTRIES);
    list.#timer = setInterval(() => void list.look(), options.everyMs ?? 10_000);
    list.#timer.unref();
    return list;
  }

  listed(hosts: readonly string[]): string[] {
    return hosts.filter((host) => this.#has(asBrowsersRead(host)));
  }

  /** Reads the file if it has changed. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const entries = await readList(this.#options, this.#entries.stamp);
      this.#warned = '';
      if (entries === null) return;
      this.#entries = entries;
      this.#tell(entries);
    } catch (error) {
      const why = textOf(error);
      if (why !== this.#warned)
        this.#options.logger.warn({ err: error }, 'the list of links stays as it was read last');
      this.#warned = why;
    }
  }

  #tell({ hosts, parents, faults }: Entries): void {
    const { logger, file } = this.#options;
    const details = { file, entries: hosts.size + parents.size, faults };
    if (faults > 0) logger.warn(details, 'lines of the list of links name no host and were left out');
    else logger.info(details, 'the list of links was read');
  }

  #has(host: string): boolean {
    const { hosts, parents } = this.#entries;
    if (hosts.has(host) || parents.has(host)) return true;
    let rest = host;
    for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
      const dot = rest.indexOf('.');
      if (dot < 0) return false;
      rest = rest.slice(dot + 1);
      if (parents.has(rest)) return true;
    }
    return false;
  }
}

const NO_ENTRIES: Entries = { hosts: new Set(), parents: new Set(), stamp: '', faults: 0 };

/** Null: the file is the one of the stamp. Throws with words for the operator. */
async function readList(options: LinkListOptions, stamp: string): Promise<Entries | null> {
  const limits = { ...LIMITS, ...options.limits };
  const handle = await open(options.file, 'r').catch((cause: unknown) => {
    throw new Error("can't be read", { cause });
  });
  try {
    const { size, mtimeMs, ino, isFile } = await handle.stat().then((stat) => ({ ...stat, isFile: stat.isFile() }));
    if (!isFile) throw new Error('is no file');
    if (size > limits.bytes) throw new Error(`is larger than ${limits.bytes} bytes`);
    const found = `${ino} ${size} ${mtimeMs}`;
    if (found === stamp) return null;
    // Not readFile: a file that grows while it is read must not fill the memory.
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await handle.read(bytes, 0, size, 0);
    return { ...parse(bytes.toString('utf8', 0, bytesRead), limits.entries), stamp: found };
  } finally {
    await handle.close();
  }
}

function parse(text: string, max: number): Omit<Entries, 'stamp'> {
  const hosts = new Set<string>();
  const parents = new Set<string>();
  let faults = 0;
  for (const line of text.split('\n')) {
    const entry = (line.split('#', 1)[0] ?? '').trim();
    if (entry === '') continue;
    const isParent = entry.startsWith('.');
    const name = isParent ? entry.slice(1) : entry;
    const host = isAddress(name) ? name : normalizeDomain(name);
    if (host === null) faults += 1;
    else (isParent ? parents : hosts).add(host);
    if (hosts.size + parents.size > max) throw new Error(`has more than ${max} entries`);
  }
  return { hosts, parents, faults };
}

/** Lower case, A-labels, percent signs decoded, numbers as addresses (WHATWG URL): what is looked up when it is clicked. */
function asBrowsersRead(host: string): string {
  const url = `http://${host}/`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/\.$/, '') : host;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
