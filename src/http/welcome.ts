import type { FastifyInstance } from 'fastify';

const LINKS = [
  ['/graphiql', 'API console'],
  ['/health/ready', 'health'],
  ['/q/request', 'held mail'],
] as const;

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="robots" content="noindex"><title>Tollgate</title></head>
<body><h1>Tollgate</h1><ul>${LINKS.map(([url, name]) => `<li><a href="${url}">${name}</a></li>`).join('')}</ul></body>
</html>
`;
const BODY = { name: 'tollgate', api: '/graphql', console: '/graphiql', health: '/health/ready' };

/** GET /: where to go from here, as a page for browsers and as JSON for the rest. It tells nothing of the server. */
export function welcomeRoute(app: FastifyInstance): void {
  app.get('/', async (request, reply) =>
    (request.headers.accept ?? '').includes('text/html') ? reply.type('text/html; charset=utf-8').send(PAGE) : BODY,
  );
}
