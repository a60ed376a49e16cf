import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { PsaConnection } from '../../src/core/psa.ts';
import type { Gates } from '../gate.ts';
import { checkUrl } from '../guard.ts';
import { type HttpAnswer, type HttpRequest, NotThere, type PsaDeps, PsaHttp, shaped } from '../http.ts';
import { redactor } from '../redact.ts';
import { configured, idSetting, prioritySettings } from '../settings.ts';
import { connectWiseVendor } from './errors.ts';

/** The version of the API whose shapes this connector was written for; without it ConnectWise sends its newest. */
const API_VERSION = '2025.1';
const PAGE = 1000;
const MAX_PAGES = 500;
/** The guide: longer URLs are refused by the servers in front. */
const MAX_URL = 2000;

const credentialsSchema = z.strictObject({
  companyId: z.string().min(1),
  publicKey: z.string().min(1),
  privateKey: z.string().min(1),
  /** Belongs to the MSP: ConnectWise forbids a product to ship one. */
  clientId: z.string().min(1),
});

const settingsSchema = z
  .strictObject({
    boardId: idSetting,
    closedStatusId: idSetting,
    priorities: prioritySettings,
    /** For servers of one's own, where companyinfo is not served: `v4_6_release/`. */
    codebase: z.string().regex(/^[\w.]+\/$/),
  })
  .partial();

export type ConnectWiseSettings = z.infer<typeof settingsSchema>;

/** `body` is null for an unknown company id. */
const companyInfo = z.object({ Codebase: z.string().regex(/^[\w.]+\/$/) }).nullable();

export interface PatchOperation {
  readonly op: 'add' | 'replace' | 'remove';
  readonly path: string;
  readonly value: unknown;
}

/** ConnectWise's transport: address, headers, codebase, paging. Knows no entity. */
export class ConnectWiseClient {
  readonly settings: ConnectWiseSettings;
  readonly #http: PsaHttp;
  readonly #site: string;
  readonly #companyId: string;
  readonly #headers: Readonly<Record<string, string>>;
  #codebase: Promise<string> | undefined;

  constructor(connection: PsaConnection, deps: PsaDeps, gates: Gates) {
    const credentials = configured(credentialsSchema, connection.credentials, 'ConnectWise credentials');
    this.settings = configured(settingsSchema, connection.settings, 'ConnectWise settings');
    this.#site = checkUrl(connection.url, deps).origin;
    this.#companyId = credentials.companyId;
    const { companyId, publicKey, privateKey, clientId } = credentials;
    const basic = Buffer.from(`${companyId}+${publicKey}:${privateKey}`).toString('base64');
    this.#headers = {
      authorization: `Basic ${basic}`,
      clientid: clientId,
      accept: `application/vnd.connectwise.com+json; version=${API_VERSION}`,
    };
    // "> 1,000 requests per minute will likely" be throttled (guide): stay at two thirds, for all integrations together.
    const gate = gates.get(
      `connectwise ${this.#site} ${companyId}`,
      { perEndpoint: 4, total: 6, budget: { requests: 900, windowMs: 60_000 }, failures: 8, openMs: 30_000 },
      () => deps.clock.now().getTime(),
    );
    this.#http = new PsaHttp(deps, gate, connectWiseVendor, redactor([publicKey, privateKey, clientId, basic]));
  }

  /** One record, null when it is not there. */
  async get<T>(path: string, schema: z.ZodType<T>, query: Readonly<Record<string, string>> = {}): Promise<T | null> {
    const answer = await this.#read(path, query);
    return answer === null ? null : shaped(schema, answer.body, 'read', connectWiseVendor.name);
  }

  /**
   * All records, by forward-only paging (`pageId`, guide): page numbers skip and repeat rows while others write. Null:
   * the parent record is not there.
   */
  async all<T extends { id: number }>(
    path: string,
    schema: z.ZodType<T>,
    query: Readonly<Record<string, string>> = {},
  ): Promise<T[] | null> {
    const rows: T[] = [];
    let last = 0;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await this.#read(
        path,
        { ...query, pageSize: String(PAGE), ...(last === 0 ? {} : { pageId: String(last) }) },
        { 'pagination-type': 'forward-only' },
      );
      if (answer === null) return page === 0 ? null : rows;
      const found = shaped(z.array(schema), answer.body, 'read', connectWiseVendor.name);
      const fresh = found.filter((row) => row.id > last);
      if (fresh.length < found.length && page > 0) {
        throw new AppError('unavailable', 'ConnectWise repeats records from page to page; the list would not be whole');
      }
      rows.push(...fresh);
      const next = /[?&]pageId=(\d+)[^>]*>;\s*rel="next"/i.exec(answer.header('link') ?? '')?.[1];
      if (found.length < PAGE && next === undefined) return rows;
      if (found.length === 0) return rows;
      last = Math.max(last, ...fresh.map((row) => row.id));
    }
    throw new AppError('upstream_rejected', `ConnectWise has more than ${PAGE * MAX_PAGES} records there`);
  }

  async post<T>(path: string, schema: z.ZodType<T>, json: unknown, sendBy?: Date): Promise<T> {
    return shaped(schema, (await this.#write('POST', path, { json, sendBy })).body, 'write', connectWiseVendor.name);
  }

  async upload<T>(path: string, schema: z.ZodType<T>, form: FormData): Promise<T> {
    return shaped(schema, (await this.#write('POST', path, { form })).body, 'write', connectWiseVendor.name);
  }

  /** PATCH is a bare array of operations; an entity with custom fields may demand one for them (AMP write.go). */
  async patch<T>(path: string, schema: z.ZodType<T>, operations: readonly PatchOperation[], sendBy?: Date): Promise<T> {
    const json = [...operations, { op: 'replace', path: '/customFields', value: [] }];
    return shaped(schema, (await this.#write('PATCH', path, { json, sendBy })).body, 'write', connectWiseVendor.name);
  }

  async #read(
    path: string,
    query: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<HttpAnswer | null> {
    const codebase = await this.#discover();
    const answer = await this.#http.call(await this.#request('GET', path, 'read', query, headers));
    if (answer !== null || !(await this.#moved(codebase))) return answer;
    return this.#http.call(await this.#request('GET', path, 'read', query, headers));
  }

  async #write(
    method: 'POST' | 'PATCH',
    path: string,
    body: { json: unknown; sendBy?: Date | undefined } | { form: FormData },
  ): Promise<HttpAnswer> {
    const codebase = await this.#discover();
    const request = { ...(await this.#request(method, path, 'write', {}, {})), ...body };
    try {
      const answer = await this.#http.call(request);
      if (answer === null) throw new AppError('upstream_rejected', 'ConnectWise has no such record');
      return answer;
    } catch (error) {
      // 404 is a sure "not carried out"; on a moved codebase the caller's next try goes to the new one.
      if (error instanceof NotThere && (await this.#moved(codebase))) {
        throw new AppError('unavailable', 'ConnectWise has moved to another release; repeat', { retryAfter: 1 });
      }
      throw error;
    }
  }

  async #request(
    method: HttpRequest['method'],
    path: string,
    effect: HttpRequest['effect'],
    query: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpRequest> {
    const search = new URLSearchParams(query).toString().replaceAll('+', '%20');
    const url = `${this.#site}/${await this.#discover()}apis/3.0${path}${search === '' ? '' : `?${search}`}`;
    if (url.length > MAX_URL) throw new AppError('invalid_input', 'the search text is too long for ConnectWise');
    const endpoint = path.split('/').slice(1, 3).join('/');
    return { method, url, headers: { ...this.#headers, ...headers }, effect, endpoint };
  }

  #discover(): Promise<string> {
    if (this.settings.codebase !== undefined) return Promise.resolve(this.settings.codebase);
    this.#codebase ??= this.#companyInfo().catch((error: unknown) => {
      this.#codebase = undefined;
      throw error;
    });
    return this.#codebase;
  }

  /** A 404 may mean that the site moved to another release: look once; true when it did (django-connectwise). */
  async #moved(from: string): Promise<boolean> {
    if (this.settings.codebase !== undefined) return false;
    const now = await this.#companyInfo();
    this.#codebase = Promise.resolve(now);
    return now !== from;
  }

  async #companyInfo(): Promise<string> {
    const answer = await this.#http.call({
      method: 'GET',
      url: `${this.#site}/login/companyinfo/${encodeURIComponent(this.#companyId)}`,
      headers: { accept: 'application/json' },
      effect: 'read',
      endpoint: 'companyinfo',
    });
    const info = answer === null ? null : shaped(companyInfo, answer.body, 'read', connectWiseVendor.name);
    if (info === null) throw new AppError('unauthenticated', 'ConnectWise does not know the company id');
    return info.Codebase;
  }
}
