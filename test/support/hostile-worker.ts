import { parentPort } from 'node:worker_threads';

/** A filter thread that does what its task says: used to see what the pool makes of it. */
parentPort?.on('message', ({ task }: { task: string }) => {
  switch (task) {
    case 'loop':
      for (;;);
    case 'memory': {
      const kept: number[][] = [];
      for (;;) kept.push(new Array<number>(100_000).fill(kept.length));
    }
    case 'exit':
      process.exit(3);
      break;
    case 'throw':
      throw new Error('broken');
    case 'silent':
      break;
    case 'refuse':
      parentPort?.postMessage({ failed: 'scan.unparsable', detail: 'refused' });
      break;
    default:
      parentPort?.postMessage({ result: task.toUpperCase() });
  }
});
parentPort?.postMessage('ready');
