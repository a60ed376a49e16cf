// Adds to package-lock.json the optional packages of platforms that the registry at hand does not carry.
//
// A registry mirror may hold the binaries of its own platform only. `npm install` then leaves the others out of the lock
// file, and `npm ci` refuses it as out of step ("Missing: @biomejs/cli-win32-x64@ from lock file"). The entries made here name
// version, system and processor, so that npm skips them where they don't fit and fetches them where they do.
// Run it after every `npm install` that changes the lock file: node scripts/complete-lockfile.mjs
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));

const SYSTEMS = [
  'android',
  'darwin',
  'linux',
  'win32',
  'windows',
  'freebsd',
  'openbsd',
  'netbsd',
  'sunos',
  'aix',
  'openharmony',
  'wasm32',
];
const PROCESSORS = [
  'arm64',
  'armeabi',
  'arm',
  'x64',
  'ia32',
  'ppc64',
  'riscv64',
  's390x',
  'loong64',
  'mips64el',
  'eabi',
];

/** System and processor from a package's name; null when it names none, which npm then has to resolve itself. */
function platform(name) {
  const words = name.split(/[/-]/);
  const os = SYSTEMS.find((system) => words.includes(system));
  const cpu = PROCESSORS.find((processor) => words.some((word) => word === processor || word.startsWith(processor)));
  if (os === undefined) return null;
  return {
    os: [os === 'windows' ? 'win32' : os],
    ...(cpu === undefined ? {} : { cpu: [cpu === 'armeabi' ? 'arm' : cpu] }),
  };
}

let added = 0;
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const hoisted = `node_modules/${name}`;
    if (lock.packages[hoisted] !== undefined || lock.packages[`${parent}/node_modules/${name}`] !== undefined) continue;
    const fits = platform(name);
    const version = /\d+\.\d+\.\d+[\w.-]*/.exec(range)?.[0];
    if (fits === null || version === undefined) continue;
    lock.packages[hoisted] = { version, ...(entry.dev === true ? { dev: true } : {}), optional: true, ...fits };
    added += 1;
  }
}

lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added} packages of other platforms added\n`);
