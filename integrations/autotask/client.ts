import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { PsaConnection } from '../../src/core/psa.ts';
import type { Gates } from '../gate.ts';
import { checkUrl } from '../guard.ts';
import { type HttpAnswer, type HttpRequest, type PsaDeps, PsaHttp, shaped } from '../http.ts';
import { redactor } from '../redact.ts';
import { configured, idSetting, prioritySettings } from '../settings.ts';
import { autotaskVendor, zoneVendor } from './errors.ts';

/** Requests in any hour, of all integrations with the MSP's database together (developer help). */
const HOURLY = 10_000;
const PAGE = 500;
const MAX_PAGES = 500;
/** Own requests between two looks at what all integrations have used. */
const THRESHOLD_EVERY = 200;
const ZONE_MS = 12 * 3_600_000;

const credentialsSchema = z.strictObject({
  userName: z.string().min(1),
  secret: z.string().min(1),
  /** The tracking identifier of the API user. */
  integrationCode: z.string().min(1),
});

const settingsSchema = z
  .strictObject({
    queueId: idSetting,
    newStatus: idSetting,
    completeStatus: idSetting,
    noteType: idSetting,
    priorities: prioritySettings,
  })
  .partial();
export type AutotaskSettings = z.infer<typeof settingsSchema>;

const zoneSchema = z.object({ url: z.string() });
const thresholdSchema = z.object({
  externalRequestThreshold: z.number().positive(),
  currentTimeframeRequestCount: z.number(),
});

export type Filter =
  | { readonly op: 'eq' | 'in' | 'contains' | 'exist'; readonly field: string; readonly value?: unknown }
  | { readonly op: 'and' | 'or'; readonly items: readonly Filter[] };

/** Autotask's transport: zone, headers, paging, the shared request budget. Knows no entity. */
export class AutotaskClient {
  readonly settings: AutotaskSettings;
  readonly deps: PsaDeps;
  readonly #http: PsaHttp;
  readonly #zoneHttp: PsaHttp;
  readonly #site: URL;
  readonly #user: string;
  readonly #headers: Readonly<Record<string, string>>;
  #zone: { readonly url: Promise<string>; readonly until: number } | undefined;
  #untilThreshold = 0;

  constructor(connection: PsaConnection, deps: PsaDeps, gates: Gates) {
    const credentials = configured(credentialsSchema, connection.credentials, 'Autotask credentials');
    this.settings = configured(settingsSchema, connection.settings, 'Autotask settings');
    this.deps = deps;
    this.#site = checkUrl(connection.url, deps);
    this.#user = credentials.userName;
    this.#headers = {
      apiintegrationcode: credentials.integrationCode,
      username: credentials.userName,
      secret: credentials.secret,
      accept: 'application/json',
    };
    // Three threads per tracking identifier and endpoint (developer help, thread limiting): one stays free for others.
    const gate = gates.get(
      `autotask ${this.#site.origin} ${credentials.userName}`,
      { perEndpoint: 2, total: 6, budget: { requests: HOURLY, windowMs: 3_600_000 }, failures: 8, openMs: 30_000 },
      () => deps.clock.now().getTime(),
    );
    const redact = redactor([credentials.secret, credentials.integrationCode, credentials.userName]);
    this.#http = new PsaHttp(deps, gate, autotaskVendor, redact);
    this.#zoneHttp = new PsaHttp(deps, gate, zoneVendor, redact);
  }

  /** `{item: ...}` of one record. Null: `item` is null (status 200) or the address is not there. */
  async get<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
    const answer = await this.#read('GET', path);
    if (answer === null) return null;
    return shaped(z.object({ item: schema.nullable() }), answer.body, 'read', autotaskVendor.name).item;
  }

  /** An answer that is no entity: `VersionInformation`, `entityInformation/fields`. */
  async describe<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const answer = await this.#read('GET', path);
    if (answer === null) throw new AppError('upstream_rejected', `Autotask does not know ${path}`);
    return shaped(schema, answer.body, 'read', autotaskVendor.name);
  }

  /** All records that pass the filter. The next page's address is asked with POST and the same body (django-autotask). */
  async query<T>(entity: string, schema: z.ZodType<T>, filter: readonly Filter[]): Promise<T[]> {
    const json = { filter, MaxRecords: PAGE };
    const page = z.object({
      items: z.array(schema),
      pageDetails: z.object({ nextPageUrl: z.string().nullish() }).nullish(),
    });
    const rows: T[] = [];
    const seen = new Set<string>();
    let answer = await this.#read('POST', `/${entity}/query`, json);
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      if (answer === null) throw new AppError('upstream_rejected', `Autotask does not know ${entity}`);
      const { items, pageDetails } = shaped(page, answer.body, 'read', autotaskVendor.name);
      rows.push(...items);
      const next = pageDetails?.nextPageUrl ?? null;
      if (next === null || next === '') return rows;
      await this.#requireZone(next);
      if (seen.has(next)) throw new AppError('unavailable', 'Autotask repeats a page; the list would not be whole');
      seen.add(next);
      answer = await this.#http.call(this.#request('POST', next, entity, 'read', json));
    }
    throw new AppError('upstream_rejected', `Autotask has more than ${PAGE * MAX_PAGES} ${entity} there`);
  }

  /** Creates, once. The id of what was made. */
  async create(path: string, json: unknown, sendBy?: Date): Promise<number> {
    const answer = await this.#write('POST', path, json, sendBy);
    return shaped(z.object({ itemId: z.number() }), answer.body, 'write', autotaskVendor.name).itemId;
  }

  /** PATCH goes to the collection with the id in the body; to `/{id}` it is answered 405. */
  async update(path: string, json: { readonly id: number } & Readonly<Record<string, unknown>>): Promise<void> {
    await this.#write('PATCH', path, json);
  }

  /** What all integrations have used of the hour, for the gate; the look counts as a request itself. */
  async threshold(): Promise<{ used: number; of: number }> {
    this.#untilThreshold = THRESHOLD_EVERY;
    const url = `${await this.#discover()}V1.0/ThresholdInformation`;
    const answer = await this.#http.call(this.#request('GET', url, 'ThresholdInformation', 'read'));
    const info = shaped(thresholdSchema, answer?.body, 'read', autotaskVendor.name);
    this.#http.gate.observe((info.currentTimeframeRequestCount / info.externalRequestThreshold) * HOURLY);
    return { used: info.currentTimeframeRequestCount, of: info.externalRequestThreshold };
  }

  async #budget(): Promise<void> {
    this.#untilThreshold -= 1;
    if (this.#untilThreshold >= 0) return;
    try {
      await this.threshold();
    } catch (error) {
      // The count is advice. Whatever is wrong, the request itself will meet it and say so.
      if (!(error instanceof AppError)) throw error;
    }
  }

  async #read(method: 'GET' | 'POST', path: string, json?: unknown): Promise<HttpAnswer | null> {
    await this.#budget();
    const zone = await this.#discover();
    const send = (base: string) =>
      this.#http.call(this.#request(method, `${base}V1.0${path}`, endpointOf(path), 'read', json));
    try {
      return await send(zone);
    } catch (error) {
      const moved = await this.#moved(error, zone);
      if (moved === null) throw error;
      return send(moved);
    }
  }

  async #write(method: 'POST' | 'PATCH', path: string, json: unknown, sendBy?: Date): Promise<HttpAnswer> {
    await this.#budget();
    const zone = await this.#discover();
    try {
      const request = this.#request(method, `${zone}V1.0${path}`, endpointOf(path), 'write', json);
      const answer = await this.#http.call({ ...request, sendBy });
      if (answer === null) throw new AppError('upstream_rejected', 'Autotask has no such record');
      return answer;
    } catch (error) {
      // 401 is a sure "not carried out"; the caller's next try goes to the new zone.
      if ((await this.#moved(error, zone)) === null) throw error;
      throw new AppError('unavailable', 'Autotask has moved the database to another zone; repeat', { retryAfter: 1 });
    }
  }

  #request(
    method: HttpRequest['method'],
    url: string,
    endpoint: string,
    effect: HttpRequest['effect'],
    json?: unknown,
  ): HttpRequest {
    return { method, url, headers: this.#headers, effect, endpoint, ...(json === undefined ? {} : { json }) };
  }

  #discover(): Promise<string> {
    const now = this.deps.clock.now().getTime();
    if (this.#zone !== undefined && this.#zone.until > now) return this.#zone.url;
    const url = this.#zoneUrl().catch((error: unknown) => {
      this.#zone = undefined;
      throw error;
    });
    this.#zone = { url, until: now + ZONE_MS };
    return url;
  }

  /** After 401: the new zone when the database has moved, else null and the credentials are wrong. */
  async #moved(error: unknown, from: string): Promise<string | null> {
    if (!(error instanceof AppError) || error.code !== 'unauthenticated') return null;
    this.#zone = undefined;
    const now = await this.#discover();
    return now === from ? null : now;
  }

  async #zoneUrl(): Promise<string> {
    const answer = await this.#zoneHttp.call({
      method: 'GET',
      url: `${this.#site.origin}/ATServicesRest/v1.0/zoneInformation?user=${encodeURIComponent(this.#user)}`,
      headers: { accept: 'application/json' },
      effect: 'read',
      endpoint: 'zoneInformation',
    });
    const { url } = shaped(zoneSchema, answer?.body, 'read', zoneVendor.name);
    const zone = checkUrl(url, this.deps);
    // The credentials go there: to Autotask, or to the very host that the administrator named.
    if (zone.hostname !== this.#site.hostname && !zone.hostname.endsWith('.autotask.net')) {
      throw new AppError('upstream_rejected', `the zone look-up names ${zone.hostname}, which is not Autotask`);
    }
    return zone.href.endsWith('/') ? zone.href : `${zone.href}/`;
  }

  async #requireZone(url: string): Promise<void> {
    if (!url.startsWith(await this.#discover())) {
      throw new AppError('upstream_rejected', 'Autotask names a next page outside of its zone');
    }
  }
}

/** What Autotask counts threads by: `/Tickets/5/Notes` is the endpoint Tickets/Notes. */
function endpointOf(path: string): string {
  return path
    .split('/')
    .filter((part) => part !== '' && !/^\d+$/.test(part) && part !== 'query')
    .slice(0, 2)
    .join('/');
}
