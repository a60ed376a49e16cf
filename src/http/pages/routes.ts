import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { packageRoot } from '../../config/root.ts';
import { normalizeAddress } from '../../core/address.ts';
import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import { isId } from '../../core/id.ts';
import type { Logger } from '../../core/log.ts';
import { subscriberOf } from '../../core/networks.ts';
import { partnerId } from '../../core/tenant.ts';
import type { TenantDb } from '../../db/db.ts';
import { countHeld, heldMessage, listHeld } from '../../digest/held.ts';
import { ACTS, type Act, act, type Holder, holderOf } from '../../digest/holder.ts';
import { html } from '../../digest/html.ts';
import type { Link, LinkSigner } from '../../digest/links.ts';
import { wordsOf } from '../../digest/words.ts';
import { type Rate, Throttle } from '../../graphql/throttle.ts';
import type { MailPreview } from '../../mail/preview.ts';
import { brandCss } from './brand.ts';
import { notice } from './layout.ts';
import { listPage } from './list.ts';
import { messagePage } from './message.ts';

export interface PagesDeps {
  readonly db: TenantDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signer: LinkSigner;
  /** Makes a stored message safe to be looked at. Throws `not_found` when its body is gone. */
  preview(contentId: string): Promise<MailPreview>;
  /** Sends a fresh digest to an address, if it is one of ours. How it went is told to nobody. */
  request(address: string): Promise<unknown>;
  /** Requests by one link's holder; by default 120 at once and 2 a second. */
  readonly holderRate?: Rate;
  /** Links that are none, and digests asked for, by one network address; by default 30 at once and one in 2 seconds. */
  readonly strangerRate?: Rate;
}

const ROWS = 50;
const BODY_MAX = 65_536;
const NOTE_MAX = 1_000;
/** Digests asked for that are being made at once; what is beyond is answered the same and not made. */
const PENDING_MAX = 20;

const BASE = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const POLICY = `${BASE}; img-src 'self'; style-src 'self'`;
/** A frame with `srcdoc` is bound by its parent's policy too, and mail has its styles and pictures inside. There is no script. */
const FRAME_POLICY = `${BASE}; img-src 'self' data:; style-src 'self' 'unsafe-inline'`;

const en = wordsOf('en');

type TokenRequest = FastifyRequest<{ Params: { token: string }; Querystring: Record<string, unknown> }>;

/** The pages of held mail. GET shows; POST acts (rule 9). A link is the key: without a good one there is nothing to be seen. */
export async function pageRoutes(app: FastifyInstance, deps: PagesDeps): Promise<void> {
  const holders = new Throttle(deps.holderRate ?? { capacity: 120, perSecond: 2 });
  const strangers = new Throttle(deps.strangerRate ?? { capacity: 30, perSecond: 0.5 });
  const pending = new Set<Promise<unknown>>();

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_MAX },
    (_request, body, done) => done(null, new URLSearchParams(String(body))),
  );
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('content-security-policy', POLICY);
  });
  app.addHook('onClose', async () => {
    await Promise.allSettled(pending);
  });
  app.setErrorHandler(async (error, request, reply) => {
    if (error instanceof AppError && error.code === 'limit_exceeded') {
      reply.header('retry-after', String(error.retryAfter ?? 60));
      return send(reply, 429, notice(en, en.page.busy, en.page.busyText));
    }
    const status = (error as { statusCode?: unknown }).statusCode;
    if (typeof status === 'number' && status >= 400 && status < 500) {
      return send(reply, status, notice(en, en.page.fault, en.page.faultText));
    }
    deps.logger.error({ requestId: request.id, err: error }, 'a page could not be shown');
    return send(reply, 503, notice(en, en.page.fault, en.page.faultText));
  });
  await assets(app);

  /** The link and its holder, or null when the refusal was sent. */
  const enter = async (request: TokenRequest, reply: FastifyReply): Promise<Entered | null> => {
    const now = deps.clock.now();
    const check = deps.signer.check(request.params.token, now);
    if (check.state === 'valid') {
      const { link } = check;
      holders.take(link.subjectId, 1, now);
      const subject = { scope: link.scope, id: link.subjectId };
      const holder = await deps.db.tenant(partnerId(link.partnerId), (tx) => holderOf(tx, subject, link.reader), {
        readOnly: true,
      });
      if (holder !== null) return { link, holder, token: request.params.token, now };
    }
    strangers.take(subscriberOf(request.ip), 1, now);
    const fresh = html`<p><a href="/q/request">${en.page.request}</a></p>`;
    if (check.state === 'expired') await send(reply, 410, notice(en, en.page.expired, en.page.expiredText, fresh));
    else await send(reply, 404, notice(en, en.page.forged, en.page.forgedText, fresh));
    return null;
  };

  const showList = async (entered: Entered, request: TokenRequest, reply: FastifyReply, said: readonly string[]) => {
    const { link, holder, token, now } = entered;
    const query = request.query;
    const text = textOf(query['q']).slice(0, 100);
    const after = cursorOf(textOf(query['after']));
    const { rows, total } = await deps.db.tenant(
      partnerId(link.partnerId),
      async (tx) => ({
        rows: await listHeld(tx, holder.subject, { text, after, first: ROWS + 1 }),
        total: await countHeld(tx, holder.subject),
      }),
      { readOnly: true },
    );
    const shown = rows.slice(0, ROWS);
    const last = rows.length > ROWS ? shown.at(-1) : undefined;
    const view = listPage({
      holder,
      path: `/q/${token}`,
      logo: logoOf(entered),
      rows: shown,
      total,
      text,
      next: last === undefined ? null : writeCursor(last.acceptedAt, last.id),
      isFirst: after === null,
      allChecked: query['all'] === '1',
      said,
      linkTo: (deliveryId) =>
        `/q/${deps.signer.sign({ ...link, deliveryId, action: 'view' }, now)}?list=${encodeURIComponent(token)}`,
    });
    return send(reply, 200, view);
  };

  const showMessage = async (entered: Entered, request: TokenRequest, reply: FastifyReply, said: readonly string[]) => {
    const { link, holder, token, now } = entered;
    const { action, deliveryId } = link;
    if (deliveryId === null || action === 'list') throw new AppError('internal', 'a link without a delivery');
    const mail = await deps.db.tenant(partnerId(link.partnerId), (tx) => heldMessage(tx, holder.subject, deliveryId), {
      readOnly: true,
    });
    const { page } = holder.words;
    if (mail === null) return send(reply, 404, notice(holder.words, page.gone, page.goneText));
    const list = listToken(deps.signer, textOf(request.query['list']), link, now);
    const tail = list === null ? '' : `?list=${encodeURIComponent(list)}`;
    const isOpen = action === 'view' && mail.disposition === 'quarantined';
    const view = messagePage({
      holder,
      mail,
      logo: logoOf(entered),
      offer: action,
      preview: isOpen ? await previewOf(deps, mail.contentId) : null,
      back: list === null ? null : `/q/${list}`,
      said,
      formTo: (what) => {
        const isOwn = what === action || what === 'ask';
        return `/q/${isOwn ? token : deps.signer.sign({ ...link, action: what }, now)}${tail}`;
      },
    });
    if (isOpen) reply.header('content-security-policy', FRAME_POLICY);
    return send(reply, 200, view);
  };

  const show = (entered: Entered, request: TokenRequest, reply: FastifyReply, said: readonly string[]) =>
    entered.link.action === 'list'
      ? showList(entered, request, reply, said)
      : showMessage(entered, request, reply, said);

  app.get<{ Params: { token: string }; Querystring: Record<string, unknown> }>('/q/:token', async (request, reply) => {
    const entered = await enter(request, reply);
    return entered === null ? reply : show(entered, request, reply, []);
  });

  // The token in the address is what a forger of requests does not have: no other site knows it, and no page gives it away.
  app.post<{ Params: { token: string }; Querystring: Record<string, unknown> }>('/q/:token', async (request, reply) => {
    const entered = await enter(request, reply);
    if (entered === null) return reply;
    const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
    return show(entered, request, reply, await perform(deps, entered, form));
  });

  app.get<{ Params: { token: string }; Querystring: Record<string, unknown> }>(
    '/q/:token/logo',
    async (request, reply) => {
      const entered = await enter(request, reply);
      if (entered === null) return reply;
      const { logo } = entered.holder.brand;
      if (logo === null) return send(reply, 404, notice(en, en.page.gone, en.page.goneText));
      return reply.type(logo[0] === 0x89 ? 'image/png' : 'image/jpeg').send(logo);
    },
  );

  app.get('/q/request', async (_request, reply) => send(reply, 200, requestForm()));

  // Answered before the address is looked at: neither the words nor the time tell whether it is one of ours.
  app.post('/q/request', async (request, reply) => {
    strangers.take(subscriberOf(request.ip), 2, deps.clock.now());
    const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
    const address = normalizeAddress((form.get('address') ?? '').slice(0, 400));
    if (address !== null && pending.size < PENDING_MAX) {
      const work = new Promise((resolve) => setImmediate(resolve))
        .then(() => deps.request(address))
        .catch((error: unknown) => deps.logger.warn({ err: error }, 'a digest that was asked for could not be made'))
        .finally(() => pending.delete(work));
      pending.add(work);
    }
    return send(reply, 200, notice(en, en.page.sent, en.page.sentText));
  });
}

interface Entered {
  readonly link: Link;
  readonly holder: Holder;
  readonly token: string;
  readonly now: Date;
}

function logoOf({ holder, token }: Entered): string | null {
  return holder.brand.logo === null ? null : `/q/${token}/logo`;
}

/** Does what a form asks for, as far as the link allows it; answers with what is to be said of it. */
async function perform(deps: PagesDeps, { link, holder }: Entered, form: URLSearchParams): Promise<string[]> {
  const { done } = holder.words.page;
  const given = ACTS.find((one) => one === form.get('act'));
  let what: Act | undefined;
  let ids: string[];
  if (link.action === 'list') {
    what = given;
    ids = [...new Set(form.getAll('id'))].filter(isId).slice(0, ROWS);
  } else {
    // A link for one message does what it names. One for looking at it may ask somebody else to act.
    what = link.action === 'view' ? (given === 'ask' ? 'ask' : undefined) : link.action;
    ids = link.deliveryId === null ? [] : [link.deliveryId];
  }
  if (what === undefined || ids.length === 0) return [done.none];
  const wanted = what;
  const note = textOf(form.get('note')).slice(0, NOTE_MAX);
  let refused = 0;
  for (const id of ids) {
    try {
      await deps.db.tenant(partnerId(link.partnerId), (tx) => act(tx, holder, wanted, id, note));
    } catch (error) {
      if (!(error instanceof AppError) || !REFUSALS.has(error.code)) throw error;
      refused += 1;
    }
  }
  const ok = ids.length - refused;
  return [...(ok > 0 ? [done[wanted](ok)] : []), ...(refused > 0 ? [done.refused(refused)] : [])];
}

const REFUSALS: ReadonlySet<string> = new Set(['not_found', 'forbidden', 'conflict', 'invalid_input']);

async function previewOf(deps: PagesDeps, contentId: string): Promise<MailPreview | null> {
  try {
    return await deps.preview(contentId);
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null;
    throw error;
  }
}

/** The list that the reader came from, when the query names a good link to the quarantine of the same subject. */
function listToken(signer: LinkSigner, token: string, link: Link, now: Date): string | null {
  const check = signer.check(token, now);
  if (check.state !== 'valid') return null;
  const { action, partnerId: partner, scope, subjectId } = check.link;
  const isSame = partner === link.partnerId && scope === link.scope && subjectId === link.subjectId;
  return action === 'list' && isSame ? token : null;
}

function textOf(value: unknown): string {
  // PostgreSQL takes no NUL in text.
  return typeof value === 'string' ? value.replaceAll('\0', '') : '';
}

function writeCursor(at: Date, id: string): string {
  return `${at.getTime()}.${id}`;
}

function cursorOf(text: string): { at: Date; id: string } | null {
  const match = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined || !isId(match[2])) return null;
  return { at: new Date(Number(match[1])), id: match[2] };
}

function requestForm(): string {
  const { page } = en;
  const form = html`<form class="ask" method="post" action="/q/request">
<label for="address">${page.address}</label>
<input id="address" name="address" type="email" required maxlength="320" autocomplete="email">
<button class="main">${page.send}</button></form>`;
  return notice(en, page.request, page.requestText, form);
}

function send(reply: FastifyReply, status: number, body: string): FastifyReply {
  return reply.code(status).type('text/html; charset=utf-8').send(body);
}

/** The style sheet, and one with a partner's colour: neither says anything about anybody. */
async function assets(app: FastifyInstance): Promise<void> {
  const css = await readFile(path.join(packageRoot(), 'data', 'pages', 'pages.css'));
  const type = 'text/css; charset=utf-8';
  app.get('/q/assets/pages.css', async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=3600').type(type).send(css),
  );
  app.get<{ Params: { file: string } }>('/q/assets/brand/:file', async (request, reply) => {
    const color = /^([0-9a-f]{6})\.css$/.exec(request.params.file)?.[1];
    if (color === undefined) return send(reply, 404, notice(en, en.page.gone, en.page.goneText));
    return reply
      .header('cache-control', 'public, max-age=3600')
      .type(type)
      .send(brandCss(`#${color}`));
  });
}
