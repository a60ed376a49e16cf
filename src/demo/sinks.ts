import { once } from 'node:events';
import type { Server } from 'node:net';
import { SMTPServer } from 'smtp-server';

/** A mail server of a client, as the gateway sees it: takes mail, counts it, and can be down. */
export class Sink implements AsyncDisposable {
  readonly name: string;
  #server: SMTPServer | null = null;
  #port = 0;
  /** Deliveries taken: one per recipient. */
  deliveries = 0;
  messages = 0;
  readonly byRecipient = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  get port(): number {
    return this.#port;
  }

  /** Listens; the first time on a free port, later on the same one. */
  async up(): Promise<void> {
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      disableReverseLookup: true,
      logger: false,
      onData: (stream, session, callback) => {
        stream.on('error', () => undefined);
        stream.on('end', () => {
          this.messages += 1;
          for (const { address } of session.envelope.rcptTo) {
            this.deliveries += 1;
            const key = address.toLowerCase();
            this.byRecipient.set(key, (this.byRecipient.get(key) ?? 0) + 1);
          }
          callback(null, 'taken');
        });
        stream.resume();
      },
    });
    server.on('error', () => undefined);
    const listener = server.listen(this.#port, '127.0.0.1') as unknown as Server;
    await once(listener, 'listening');
    const address = listener.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
    this.#server = server;
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    for (const connection of server.connections as Iterable<{ close(): void }>) connection.close();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
