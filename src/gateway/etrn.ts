import type { SMTPServer, SMTPServerSession } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import type { Later } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { guard } from './callbacks.ts';

/** What a port does with ETRN (RFC 1985). */
export interface Etrn {
  /** Whether EHLO names it to this session. */
  isOffered(session: SMTPServerSession): boolean;
  /** Starts the queue of `node`. Throws for faults of ours only: they are answered 458. */
  run(node: string, session: SMTPServerSession): Promise<EtrnReply>;
}

export interface EtrnReply {
  readonly code: 250 | 251 | 252 | 253 | 458 | 459 | 501;
  /** With the enhanced status before it. */
  readonly text: string;
}

interface Enabled {
  readonly etrn: Etrn;
  readonly deadlineMs: number;
  readonly logger: Logger;
  readonly later?: Later | undefined;
}

type Handler = (this: SMTPConnection, command: Buffer, callback: () => void) => void;

const enabled = new WeakMap<SMTPServer, Enabled>();
let done = false;

/** Makes a server know ETRN, which smtp-server 3.21.6 has no handler for. It must not be in `disabledCommands`. */
export function enableEtrn(server: SMTPServer, options: Enabled): void {
  enabled.set(server, options);
  if (done) return;
  done = true;
  const handlers = SMTPConnection.prototype as unknown as { handler_EHLO: Handler; handler_ETRN: Handler };
  const ehlo = handlers.handler_EHLO;
  handlers.handler_EHLO = function offering(this: SMTPConnection, command, callback) {
    const isOffered = enabled.get(this._server)?.etrn.isOffered(this.session) === true;
    const send = this.send;
    if (isOffered) {
      this.send = (code, data, context) =>
        Reflect.apply(send, this, [code, code === 250 && Array.isArray(data) ? [...data, 'ETRN'] : data, context]);
    }
    try {
      Reflect.apply(ehlo, this, [command, callback]);
    } finally {
      Reflect.deleteProperty(this, 'send');
    }
  };
  handlers.handler_ETRN = function etrn(this: SMTPConnection, command, callback) {
    const own = enabled.get(this._server);
    const parts = command.toString().trim().split(/\s+/);
    const answer = (code: number, text: string) => {
      this.send(code, text);
      callback();
    };
    if (own === undefined) return answer(502, '5.5.1 Not here');
    if (this.session.openingCommand !== 'EHLO') return answer(503, '5.5.1 Say EHLO first');
    if (this.session.envelope.mailFrom !== false) return answer(503, '5.5.1 Not within a mail transaction');
    const node = parts[1];
    if (node === undefined || parts.length > 2) return answer(501, '5.5.4 Syntax: ETRN domain');
    guard<EtrnReply>(
      () => own.etrn.run(node, this.session),
      (error, reply) => {
        if (reply === undefined) answer(458, `4.3.0 Unable to queue messages: ${error?.message ?? 'try later'}`);
        else answer(reply.code, reply.text);
      },
      { deadlineMs: own.deadlineMs, logger: own.logger, what: 'ETRN', later: own.later },
    );
  };
}
