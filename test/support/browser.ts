import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import chromium from '@sparticuz/chromium';
import { type Browser, chromium as browsers } from 'playwright-core';

/** Milliseconds for each step, on a machine that has other things to do. */
export const BROWSER_MS = 120_000;

/** A browser, closed at the end of the test. */
export async function openBrowser(t: TestContext): Promise<Browser> {
  const browser = await browsers.launch({ executablePath: await unpacked(), args: chromium.args, timeout: BROWSER_MS });
  t.after(() => browser.close());
  return browser;
}

/**
 * Chromium as it comes out of its package: unpacked in a folder of its own and renamed when it is whole. The package itself takes
 * what lies in the temporary folder for whole, also while another process unpacks it or after one that was killed doing so.
 */
async function unpacked(): Promise<string> {
  const common = tmpdir();
  const folder = path.join(common, 'tollgate-test-chromium-147');
  const file = path.join(folder, 'chromium');
  if (existsSync(file)) return file;
  const own = await mkdtemp(`${folder}-`);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = own;
  try {
    await chromium.executablePath();
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
  await rename(own, folder).catch(async (error: NodeJS.ErrnoException) => {
    // Another process was sooner.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    await rm(own, { recursive: true, force: true });
  });
  return file;
}
