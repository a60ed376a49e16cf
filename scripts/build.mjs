// Compiles into a folder of its own and then moves what differs into dist, file by file: a service that runs from dist never
// misses a file of its code, and what is compiled to the same bytes is not touched. A failed build leaves dist as it was. What the
// new build does not have is taken away at the end: a file that was deleted or renamed must not live on and be tested.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = path.join(root, 'dist');
// Beside dist, as deep as it: source maps name their sources by relative paths.
const name = `dist-next.${process.pid}`;
const fresh = path.join(root, name);

removeLeftOvers();
try {
  process.exitCode = compile();
  if (process.exitCode === 0) {
    // `npx tollgate` runs the compiled file itself; npm makes it executable only when it links it first.
    const main = path.join(fresh, 'src/main.js');
    if (existsSync(main)) chmodSync(main, 0o755);
    swapIn(filesUnder(fresh));
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

/** Runs the compiler; answers with its exit code. */
function compile() {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
  const tsc = path.join(path.dirname(manifest), 'bin/tsc');
  const args = ['-p', 'tsconfig.json', '--outDir', name, '--tsBuildInfoFile', `${name}/.tsbuildinfo`];
  return spawnSync(process.execPath, [tsc, ...args], { cwd: root, stdio: 'inherit' }).status ?? 1;
}

function swapIn(files) {
  for (const file of files) {
    const [from, to] = [path.join(fresh, file), path.join(dist, file)];
    if (isSame(from, to)) continue;
    mkdirSync(path.dirname(to), { recursive: true });
    renameSync(from, to);
  }
  const wanted = new Set(files);
  for (const file of filesUnder(dist)) if (!wanted.has(file)) rmSync(path.join(dist, file));
}

function isSame(from, to) {
  if (!existsSync(to)) return false;
  const [a, b] = [statSync(from), statSync(to)];
  return a.mode === b.mode && a.size === b.size && readFileSync(from).equals(readFileSync(to));
}

function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

/** What builds that were killed have left. */
function removeLeftOvers() {
  for (const other of readdirSync(root)) {
    const pid = Number(/^dist-next\.(\d+)$/.exec(other)?.[1] ?? 0);
    if (pid > 0 && (pid === process.pid || !isRunning(pid))) rmSync(path.join(root, other), { recursive: true });
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
