import type { Socket } from 'node:net';

/** The client of a transaction, as far as it matters whether it can still be answered. */
export interface Peer {
  /** Whether it has closed its side, or the connection broke: it hears no answer any more. */
  hasLeft(): Promise<boolean>;
}

/** `find`: the socket that replies are written to; null: there is none any more. */
export function peerOf(find: () => Socket | null): Peer {
  const isGone = () => {
    const socket = find();
    return socket === null || socket.destroyed || socket.readableEnded;
  };
  return {
    async hasLeft() {
      const socket = find();
      // A large message fills the parser, and then nothing is read until it has been answered: the client's farewell neither. One
      // chunk is let in, and the pipe pauses by itself again.
      if (socket?.isPaused() === true && !isGone()) {
        socket.resume();
        await turn();
        await turn();
      }
      return isGone();
    },
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
