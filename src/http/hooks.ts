import type { FastifyInstance } from 'fastify';
import { isId } from '../core/id.ts';
import type { PsaKind } from '../core/psa.ts';
import { HttpError } from './errors.ts';

/** A callback of a PSA as it came in. */
export interface HookRequest {
  readonly kind: PsaKind;
  readonly connectionId: string;
  /** Untouched: signatures are over these bytes. */
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface HookPort {
  /** `unknown`: no connection of that kind and id. `refused`: the signature does not fit. */
  verify(hook: HookRequest): Promise<'genuine' | 'unknown' | 'refused'>;
  /**
   * Keeps the callback so that it is worked on soon. A callback only says that something changed: whoever works on it
   * reads the object again, since callbacks come late, twice and out of order.
   */
  accept(hook: HookRequest): Promise<void>;
}

// Both vendors send one object at a time.
const BODY_MAX = 256 * 1024;

/** POST /hooks/{connectwise,autotask}/:connection. Answers at once: both vendors disable a slow receiver. */
export async function hookRoutes(app: FastifyInstance, port: HookPort): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_MAX }, (_request, body, done) => done(null, body));
  for (const kind of ['connectwise', 'autotask'] as const) {
    app.post<{ Params: { connection: string } }>(
      `/hooks/${kind}/:connection`,
      { bodyLimit: BODY_MAX },
      async (request, reply) => {
        const connectionId = request.params.connection.toLowerCase();
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const hook: HookRequest = { kind, connectionId, body, headers: request.headers };
        const verdict = isId(connectionId) ? await port.verify(hook) : 'unknown';
        if (verdict === 'unknown') throw new HttpError(404, 'no such connection');
        if (verdict === 'refused') throw new HttpError(401, 'the signature does not fit');
        await port.accept(hook);
        return reply.code(204).send();
      },
    );
  }
}
