import type { AddressInfo, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { createSecureContext } from 'node:tls';
import {
  SMTPServer,
  type SMTPServerAddress,
  type SMTPServerAuthentication,
  type SMTPServerDataStream,
  type SMTPServerOptions,
  type SMTPServerSession,
} from 'smtp-server';
import type { Clock, Later } from '../core/clock.ts';
import type { ArrivingContent } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Envelope } from '../core/message.ts';
import type { Direction } from '../core/verdict.ts';
import { guard } from './callbacks.ts';
import { declaredSize, dsnOf, recipientOf, senderOf } from './commands.ts';
import { RejectedReply } from './decision.ts';
import { type Etrn, enableEtrn } from './etrn.ts';
import { ConnectionGuard, type ConnectionLimits, DEFAULT_LIMITS, plainIp } from './limits.ts';
import { hearProtocolErrors, patchSmtpServer } from './patch.ts';
import { type Peer, peerOf } from './peer.ts';
import { guardPlainAuth } from './plain-auth.ts';
import { Reply } from './replies.ts';
import type { Spool } from './spool.ts';

/** What a port does with a transaction; everything common to both ports is here. */
export interface Port {
  readonly direction: Direction;
  /** Throws Reply to refuse the connection. */
  connect?(session: SMTPServerSession): Promise<void>;
  auth?(username: string, password: string, session: SMTPServerSession): Promise<{ user: unknown }>;
  sender?(sender: string, session: SMTPServerSession): void | Promise<void>;
  /** Throws Reply to refuse. `transaction` lives as long as the SMTP transaction. `signal`: the client was told 451 already. */
  recipient(
    recipient: string,
    sender: string,
    session: SMTPServerSession,
    transaction: object,
    signal: AbortSignal,
  ): Promise<void>;
  /** Absent: the port knows no ETRN. */
  readonly etrn?: Etrn | undefined;
  /** Decides and commits; answers the text after 250. */
  accept(
    content: ArrivingContent,
    envelope: Envelope,
    transaction: object,
    signal: AbortSignal,
    peer: Peer,
  ): Promise<string>;
}

export interface ServerSettings {
  readonly hostName: string;
  readonly bindHost: string;
  readonly maxMessageBytes: number;
  readonly maxRecipients: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly limits?: Partial<ConnectionLimits>;
  /** Milliseconds for one command, and for a message from its last octet to the reply (below the 5 minutes of RFC 1047). */
  readonly commandDeadlineMs?: number;
  readonly messageDeadlineMs?: number;
  /** PEM. Null: STARTTLS is not offered. */
  readonly tls?: { readonly key: string; readonly cert: string } | null;
  /** Logins are taken without TLS from everywhere, and not from loopback only. */
  readonly plainAuth?: boolean;
}

export interface ServerDeps {
  readonly spool: Spool;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: ServerSettings;
  /** How deadlines are waited for, and milliseconds for how long a client takes; absent: the machine's. */
  readonly later?: Later | undefined;
  readonly monotonic?: (() => number) | undefined;
  /** A command of the client was not SMTP. */
  readonly onProtocolError?: (remoteAddress: string) => void;
}

/** What is used of smtp-server's connection beside its types. */
interface Connected {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly _socket: Socket;
  /** STARTTLS was answered and the handshake goes on. */
  readonly _upgrading: boolean;
}

const DISABLED = ['WIZ', 'SHELL', 'KILL', 'HELP', 'VRFY', 'EXPN', 'XCLIENT', 'XFORWARD', 'XOAUTH2'];

/** An SMTP server with every callback of smtp-server guarded. */
export class GatewayServer {
  readonly #server: SMTPServer;
  readonly #guard: ConnectionGuard;
  readonly #deps: ServerDeps;
  readonly #port: Port;

  constructor(port: Port, deps: ServerDeps) {
    patchSmtpServer();
    this.#deps = deps;
    this.#port = port;
    this.#server = new SMTPServer(this.#options());
    const { tls, plainAuth } = deps.settings;
    guardPlainAuth(this.#server, { hasTls: (tls ?? null) !== null, isAllowed: plainAuth === true });
    if (port.etrn !== undefined) {
      const deadlineMs = deps.settings.commandDeadlineMs ?? 60_000;
      enableEtrn(this.#server, { etrn: port.etrn, deadlineMs, logger: deps.logger, later: deps.later });
    }
    if (deps.onProtocolError !== undefined) hearProtocolErrors(this.#server, deps.onProtocolError);
    this.#server.on('error', (error) => deps.logger.debug({ err: error }, 'an SMTP connection failed'));
    this.#guard = new ConnectionGuard(
      this.#server.server,
      { ...DEFAULT_LIMITS, maxPerIp: deps.settings.maxConnectionsPerIp, ...deps.settings.limits },
      (ip, port) => this.#speaking(ip, port),
      deps.monotonic,
    );
  }

  /** What a reply to the peer is written to: under TLS not the socket that was accepted. Null: nothing may be said now. */
  #speaking(ip: string, port: number): Socket | null {
    for (const connection of this.#server.connections) {
      const one = connection as unknown as Connected;
      if (one.remotePort === port && plainIp(one.remoteAddress) === ip) return one._upgrading ? null : one._socket;
    }
    return null;
  }

  #peer(session: SMTPServerSession): Peer {
    let known: Connected | null = null;
    return peerOf(() => {
      if (known === null) {
        for (const one of this.#server.connections) {
          if (one.session === session) known = one as unknown as Connected;
        }
      }
      return known?._socket ?? null;
    });
  }

  /** Listens and answers `host:port`. Rejects when the port is taken. */
  listen(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const server = this.#server.server;
      const { bindHost } = this.#deps.settings;
      const setting = this.#port.auth === undefined ? 'SMTP_PORT' : 'SUBMISSION_PORT';
      const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, bindHost, port, setting));
      server.once('error', failed);
      this.#server.listen(port, bindHost, () => {
        server.removeListener('error', failed);
        const bound = server.address() as AddressInfo;
        resolve(`${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`);
      });
    });
  }

  /** PEM, for connections that are secured from now on. Throws when it is no good, and then the old one stays. */
  useCertificate(certificate: { readonly key: string; readonly cert: string }): void {
    createSecureContext(certificate);
    this.#server.updateSecureContext(certificate);
  }

  /** Lets pending messages come to their end for `graceMs`, then closes. */
  close(graceMs: number): Promise<void> {
    this.#guard.close();
    if (!this.#server.server.listening) return Promise.resolve();
    this.#server.options.closeTimeout = graceMs;
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #options(): SMTPServerOptions {
    const { settings } = this.#deps;
    const isSubmission = this.#port.auth !== undefined;
    const tls = settings.tls ?? null;
    return {
      name: settings.hostName,
      banner: 'Tollgate',
      size: settings.maxMessageBytes,
      rejectOversized: true,
      maxClients: settings.maxConnections,
      socketTimeout: 300_000,
      logger: false,
      disableReverseLookup: true,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      // RFC 8689 asks for more than a parameter: what is not kept is not offered.
      hideREQUIRETLS: true,
      hideSTARTTLS: tls === null,
      disabledCommands: [
        ...DISABLED,
        ...(this.#port.etrn === undefined ? ['ETRN'] : []),
        ...(tls === null ? ['STARTTLS'] : []),
        ...(isSubmission ? [] : ['AUTH']),
      ],
      authMethods: ['PLAIN', 'LOGIN'],
      // The submission port asks at MAIL: a client's server may come by its network instead of a login.
      authOptional: true,
      // Of each peer guardPlainAuth decides.
      allowInsecureAuth: isSubmission && tls === null,
      ...(tls === null ? {} : { key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const }),
      onConnect: (session, done) => this.#run('connect', session, () => this.#connect(session), done),
      onMailFrom: (address, session, done) => this.#run('MAIL', session, () => this.#mail(address, session), done),
      onRcptTo: (address, session, done) =>
        this.#run('RCPT', session, (signal) => this.#rcpt(address, session, signal), done),
      onData: (stream, session, done) => this.#data(stream, session, done),
      ...(isSubmission
        ? {
            onAuth: (auth, session, done) =>
              guard(
                () => this.#auth(auth, session),
                (error, user) => (error === null ? done(null, user) : done(error)),
                {
                  deadlineMs: settings.commandDeadlineMs ?? 60_000,
                  logger: this.#deps.logger,
                  what: 'AUTH',
                  later: this.#deps.later,
                },
              ),
          }
        : {}),
    };
  }

  #run(
    what: string,
    session: SMTPServerSession,
    work: (signal: AbortSignal) => void | Promise<void>,
    done: (error?: Error | null) => void,
  ) {
    guard(
      work,
      (error) => {
        this.#guard.progress(session.remoteAddress, session.remotePort);
        done(error);
      },
      {
        deadlineMs: this.#deps.settings.commandDeadlineMs ?? 60_000,
        logger: this.#deps.logger,
        what,
        later: this.#deps.later,
      },
    );
  }

  async #connect(session: SMTPServerSession): Promise<void> {
    if (this.#guard.isOver(session.remoteAddress)) {
      throw new Reply(421, '4.7.0', 'Too many connections from your address');
    }
    await this.#port.connect?.(session);
  }

  async #auth(auth: SMTPServerAuthentication, session: SMTPServerSession): Promise<{ user: unknown }> {
    const check = this.#port.auth;
    if (check === undefined) throw new Reply(502, '5.5.1', 'Not here');
    this.#guard.progress(session.remoteAddress, session.remotePort);
    return check(auth.username ?? '', auth.password ?? '', session);
  }

  async #mail(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> {
    const sender = senderOf(address, session);
    const { maxMessageBytes } = this.#deps.settings;
    const size = declaredSize(address);
    if (size > maxMessageBytes) throw new Reply(552, '5.3.4', 'The message is too large');
    await this.#deps.spool.requireSpace(Math.max(size, maxMessageBytes));
    await this.#port.sender?.(sender, session);
  }

  async #rcpt(address: SMTPServerAddress, session: SMTPServerSession, signal: AbortSignal): Promise<void> {
    const recipient = recipientOf(address, session);
    if (session.envelope.rcptTo.length >= this.#deps.settings.maxRecipients) {
      throw new Reply(452, '4.5.3', 'Too many recipients');
    }
    await this.#port.recipient(recipient, senderFrom(session), session, session.envelope, signal);
  }

  #data(stream: SMTPServerDataStream, session: SMTPServerSession, done: (error?: Error | null, text?: string) => void) {
    const { remoteAddress, remotePort } = session;
    this.#guard.dataStarts(remoteAddress, remotePort);
    // How fast it has to come is the guard's affair: who has a large message and a thin line is not late.
    const from = new Promise<void>((resolve) => {
      stream.once('end', () => {
        this.#guard.dataEnds(remoteAddress, remotePort);
        resolve();
      });
    });
    guard(
      (signal) => this.#take(stream, session, signal),
      (error, text) => {
        this.#guard.progress(remoteAddress, remotePort);
        if (error === null) done(null, text);
        else done(error);
      },
      {
        deadlineMs: this.#deps.settings.messageDeadlineMs ?? 240_000,
        from,
        logger: this.#deps.logger,
        what: 'DATA',
        later: this.#deps.later,
      },
    );
  }

  async #take(stream: SMTPServerDataStream, session: SMTPServerSession, signal: AbortSignal): Promise<string> {
    const { spool, clock, settings } = this.#deps;
    const transaction = session.envelope;
    const envelope: Envelope = {
      sender: senderFrom(session),
      remoteAddress: session.remoteAddress,
      remoteName: null,
      helo: String(session.hostNameAppearsAs || '').slice(0, 255),
      tls: session.secure === true,
      direction: this.#port.direction,
      authenticatedAs: (session.user as { username?: string } | undefined)?.username ?? null,
      receivedAt: clock.now(),
      smtpUtf8: session.envelope.smtpUtf8 === true,
      dsn: dsnOf(session),
    };
    const content = await spool.take(intake(stream), { hostName: settings.hostName });
    try {
      if (stream.sizeExceeded) throw new Reply(552, '5.3.4', 'The message is too large');
      signal.throwIfAborted();
      return await this.#port.accept(content, envelope, transaction, signal, this.#peer(session));
    } catch (error) {
      // What is not committed has no owner. After an unclear commit the file stays: the sweep removes it if no row knows it.
      if (error instanceof Reply && !(error instanceof RejectedReply)) {
        await content.stored.catch(() => undefined);
        await spool.remove(content.id).catch(() => undefined);
      }
      throw error;
    }
  }
}

/**
 * The message for the spool. When the spool stops early the rest is read and thrown away, so that the reply comes after the
 * final dot; what is over the size limit is not passed on; a client that goes away ends it with an error.
 */
function intake(stream: SMTPServerDataStream): PassThrough {
  const passed = new PassThrough();
  stream.on('data', (chunk: Buffer) => {
    if (stream.sizeExceeded || passed.destroyed) return;
    if (!passed.write(chunk)) stream.pause();
  });
  passed.on('drain', () => stream.resume());
  passed.on('close', () => stream.resume());
  stream.once('end', () => passed.end());
  const gone = () => {
    if (!passed.writableEnded) passed.destroy(new Reply(451, '4.4.2', 'The connection broke'));
  };
  stream.once('error', gone);
  stream.once('close', gone);
  return passed;
}

function senderFrom(session: SMTPServerSession): string {
  const from = session.envelope.mailFrom;
  return from === false ? '' : senderOf(from, session);
}

const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program uses it',
  EACCES: 'this user may not listen on it',
  EADDRNOTAVAIL: 'this machine has no such address',
};

/** A port that can't be had is a fault of the settings, said in words. */
function listenError(error: NodeJS.ErrnoException, host: string, port: number, setting: string): Error {
  const why = LISTEN_FAULTS[error.code ?? ''];
  if (why === undefined) return error;
  const what = error.code === 'EADDRNOTAVAIL' ? 'BIND_HOST to one that it has' : `${setting} to another one`;
  return new AppError('config_invalid', `${setting}: SMTP can't listen on ${host}:${port}: ${why}; set ${what}`, {
    cause: error,
  });
}
