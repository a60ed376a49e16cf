import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { packageRoot } from '../config/root.ts';

const FILES = [
  { url: '/graphiql', name: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/graphiql/console.js', name: 'console.js', type: 'text/javascript; charset=utf-8' },
  { url: '/graphiql/console.css', name: 'console.css', type: 'text/css; charset=utf-8' },
];

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/**
 * A page to try queries with. It is our own: mercurius's loads GraphiQL from another site, which an installation without
 * internet can't, and which would run other people's code beside an API key.
 */
export async function consoleRoutes(app: FastifyInstance): Promise<void> {
  for (const file of FILES) {
    const content = await readFile(path.join(packageRoot(), 'data', 'console', file.name));
    app.get(file.url, async (_request, reply) =>
      reply.header('content-security-policy', POLICY).type(file.type).send(content),
    );
  }
}
