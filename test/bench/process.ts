import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';

/** A part of a bench that runs as a process of its own (child.ts), so that its CPU and memory are its own. */
export class Child {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Starts a part; answers when it is ready, with the ports that it listens on. */
  static async start(kind: string, options: object = {}): Promise<{ child: Child; ports: readonly number[] }> {
    const process = fork(new URL('./child.js', import.meta.url), [kind, JSON.stringify(options)], {
      execArgv: ['--no-warnings'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const child = new Child(process);
    const { ports } = (await child.#next()) as { ports: readonly number[] };
    return { child, ports };
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Asks the part for what it knows (child.ts). */
  async ask(question: string): Promise<unknown> {
    const answer = this.#next();
    this.#process.send(question);
    return answer;
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.send('stop');
    await ended;
  }

  #next(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const failed = (code: number | null) => reject(new Error(`a part of the bench ended with ${code}`));
      this.#process.once('exit', failed);
      this.#process.once('message', (message) => {
        this.#process.off('exit', failed);
        resolve(message);
      });
    });
  }
}

/** Resident memory of a process in MiB, now and at most since `forgetPeak`. Linux only. */
export function memoryOf(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { now: read('VmRSS'), peak: read('VmHWM') };
}

export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
