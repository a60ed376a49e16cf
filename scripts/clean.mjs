// Removes the compiled tree: a file that was deleted or renamed must not live on in dist and be tested.
import { rmSync } from 'node:fs';

rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true });
