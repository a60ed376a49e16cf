import pino from 'pino';
import type { Config } from '../config/config.ts';
import type { Logger } from '../core/log.ts';

/** Log lines go to standard error, so that the output of a command can be piped. */
export function createLogger(config: Config): Logger {
  return pino(
    { level: config.logLevel, base: { node: config.nodeId }, redact: ['req.headers.authorization'] },
    pino.destination(2),
  );
}
