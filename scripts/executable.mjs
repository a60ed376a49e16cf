// `npx tollgate` runs the compiled file itself. npm makes it executable only when it links it first, and a build makes it anew.
import { chmodSync } from 'node:fs';

chmodSync(new URL('../dist/src/main.js', import.meta.url), 0o755);
