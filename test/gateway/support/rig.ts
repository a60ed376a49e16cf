import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { createIntake } from '../../../src/aggregates/mails.ts';
import type { Later } from '../../../src/core/clock.ts';
import { type Logger, silentLogger } from '../../../src/core/log.ts';
import type { Pipeline } from '../../../src/core/message.ts';
import type { Action, Verdict } from '../../../src/core/verdict.ts';
import type { DeliveryDeps } from '../../../src/gateway/deliver.ts';
import {
  createDelivery,
  createGateway,
  type Delivery,
  type GatewayConfig,
  type Signing,
  Spool,
} from '../../../src/gateway/index.ts';
import type { OwnPlace } from '../../../src/gateway/routes.ts';
import { realDisk, type SpoolDisk } from '../../../src/gateway/spool.ts';
import { type Resolver, zoneResolver } from '../../../src/mail/resolver.ts';
import { openDatabase } from '../../support/db.ts';
import { listenOwn } from '../../support/ports.ts';

export const CONFIG: GatewayConfig = {
  nodeId: 'test',
  hostName: 'mx.tollgate.example',
  bindHost: '127.0.0.1',
  smtpPort: 0,
  submissionPort: 0,
  maxMessageBytes: 1_000_000,
  maxRecipients: 5,
  maxConnections: 100,
  maxConnectionsPerIp: 50,
  directoryGraceSeconds: 0,
};

/** Decides by the local part: `quarantine@` is quarantined, and so on; everybody else's mail is delivered. */
export const byLocalPart: Pipeline = {
  async run(input) {
    return {
      decisions: input.recipients.map(({ recipient }) => {
        const local = recipient.split('@')[0] ?? '';
        const actions: readonly Action[] = ['tag', 'strip', 'quarantine', 'reject', 'discard'];
        const action = actions.find((one) => one === local) ?? 'deliver';
        const verdict: Verdict = action === 'deliver' ? 'clean' : 'spam';
        return { verdict, action, score: 0, reasons: action === 'deliver' ? [] : [{ code: 'test.rule', detail: '' }] };
      }),
      // Without Message-ID, so that the same mail sent twice is two messages.
      facts: { messageId: '', fromAddress: 'bob@sender.example', fromName: '', subject: 'Hello', attachments: [] },
      authenticationResults: null,
    };
  },
  async close() {},
};

export interface RigOptions {
  readonly config?: Partial<GatewayConfig>;
  readonly pipeline?: Pipeline;
  readonly disk?: SpoolDisk;
  readonly logger?: Logger;
  readonly resolver?: Resolver;
  readonly mxPort?: number;
  readonly delivery?: Partial<DeliveryDeps>;
  readonly signing?: Signing;
  readonly random?: () => number;
  /** Of the first delivery worker. */
  readonly region?: string;
  readonly delay?: (ms: number) => Promise<void>;
  readonly later?: Later;
  readonly monotonic?: () => number;
  /** Of addresses for reports. */
  readonly reportDomain?: string;
}

/** The key of rewritten senders in tests. */
export const SRS = { domain: 'srs.tollgate.example', key: Buffer.alloc(32, 7) };

/** A gateway with its database, spool and delivery worker (not started: tests drain). */
export async function openRig(t: TestContext, options: RigOptions = {}) {
  const { db, clock, owner, ownerUrl, before } = await openDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-spool-'));
  const spool = await Spool.open(folder, options.disk ?? realDisk);
  const logger = options.logger ?? silentLogger;
  const config = { ...CONFIG, ...options.config };
  const resolver = options.resolver ?? zoneResolver({});
  const pipeline = options.pipeline ?? byLocalPart;
  const gateway = createGateway({
    ...{ db, clock, logger, spool, pipeline, resolver, config, srs: SRS },
    ...(options.delay === undefined ? {} : { delay: options.delay }),
    later: options.later,
    monotonic: options.monotonic,
    ...(options.reportDomain === undefined ? {} : { reports: createIntake(db, options.reportDomain) }),
  });
  const nodes: Delivery[] = [];
  const openNode = (nodeId: string, region: string | null, own: OwnPlace = {}) => {
    const node = createDelivery({
      db,
      clock,
      logger,
      spool,
      resolver,
      config: { nodeId, hostName: config.hostName, allowPrivateHosts: ['127.0.0.1'], region, ...own },
      srs: SRS,
      ...(options.signing === undefined ? {} : { signing: options.signing }),
      ...(options.mxPort === undefined ? {} : { mxPort: options.mxPort }),
      ...(options.random === undefined ? {} : { random: options.random }),
      ...options.delivery,
    });
    nodes.push(node);
    return node;
  };
  const delivery = openNode(config.nodeId, options.region ?? null);
  const where = await gateway.start();
  before(async () => {
    await gateway.stop(200);
    for (const node of nodes) await node.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    db,
    clock,
    owner,
    ownerUrl,
    before,
    spool,
    folder,
    gateway,
    delivery,
    /** Another delivery worker on the same queue. */
    openNode,
    smtp: port(where.smtp),
    submission: port(where.submission),
  };
}

function port(where: string): number {
  return Number(where.slice(where.lastIndexOf(':') + 1));
}

/** A bare SMTP client: what is written is written, octet for octet. */
export class Talker {
  readonly socket: Socket;
  #text = '';

  /** `from`: the client's address, any of 127.0.0.0/8. */
  constructor(to: number | Socket, from = '127.0.0.1') {
    this.socket = typeof to === 'number' ? connect({ port: to, host: '127.0.0.1', localAddress: from }) : to;
    this.socket.setNoDelay(true);
    this.socket.on('error', () => undefined);
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.#text += text;
      this.socket.emit('more');
    });
    this.socket.on('close', () => this.socket.emit('more'));
  }

  static async open(to: number, from?: string): Promise<Talker> {
    const talker = new Talker(to, from);
    await talker.reply();
    await talker.say('EHLO client.example');
    return talker;
  }

  /** The next whole reply, or what there is when the connection has closed. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].trimEnd();
      }
      if (this.socket.destroyed) return this.#text;
      await new Promise<void>((resolve) => this.socket.once('more', () => resolve()));
    }
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** MAIL, RCPTs, DATA and the message; answers all replies. */
  async send(from: string, to: readonly string[], body = 'Subject: Hello\r\n\r\nHi\r\n'): Promise<string[]> {
    const replies = [await this.say(`MAIL FROM:<${from}>`)];
    for (const one of to) replies.push(await this.say(`RCPT TO:<${one}>`));
    const go = await this.say('DATA');
    if (go.startsWith('354')) replies.push(await this.say(`${body}.`));
    else replies.push(go);
    return replies;
  }

  close(): void {
    this.socket.destroy();
  }
}

export interface Received {
  readonly from: string;
  readonly to: readonly string[];
  readonly body: string;
  /** Parameters of MAIL and of each RCPT. */
  readonly mailArgs: Readonly<Record<string, string | true>>;
  readonly rcptArgs: readonly Readonly<Record<string, string | true>>[];
}

/** A client's mail server. `answer` says what RCPT is answered, by address; null: accepted. */
export async function openSink(
  t: TestContext,
  answer: (to: string) => number | null = () => null,
  listenOn = 0,
  options: SMTPServerOptions = {},
) {
  const mail: Received[] = [];
  const server = new SMTPServer({
    authOptional: true,
    closeTimeout: 50,
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    ...options,
    onRcptTo(address, _session, done) {
      const code = answer(address.address);
      done(code === null ? null : Object.assign(new Error('said the sink'), { responseCode: code }));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const from = session.envelope.mailFrom;
        mail.push({
          from: from === false ? '' : from.address,
          to: session.envelope.rcptTo.map((one) => one.address),
          body: Buffer.concat(chunks).toString('latin1'),
          mailArgs: (from === false ? false : from.args) || {},
          rcptArgs: session.envelope.rcptTo.map((one) => one.args || {}),
        });
        done(null, 'taken');
      });
    },
  });
  server.on('error', () => undefined);
  const port = await listenOwn(server.server, listenOn);
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  t.after(close);
  return { port, mail, close };
}
