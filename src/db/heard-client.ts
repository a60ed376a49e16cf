import pg from 'pg';

/**
 * A client that never ends the process. A pool hears errors of idle clients only, so one that breaks while it is checked out
 * and between two statements would be an unheard `error` event. For pools that others make, as BullMQ does: give it as their `Client`.
 */
export class HeardClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    // Whoever runs the next statement is told by its rejection.
    this.on('error', () => undefined);
  }
}
