import type { ApiCaller } from '../accounts/keys.ts';

/** What needs a PSA and so is handed in by the composition root: the API itself knows no vendor. */
export interface Commands {
  /** Computes a plan for a day (`YYYY-MM-DD`) and answers with its id. Reads the PSA, writes nothing there. */
  createBillingPlan(caller: ApiCaller, usageDay: string): Promise<string>;
  /** Sees to it that an approved plan is applied, soon and once. Throws `conflict` when it is not approved. */
  applyBillingPlan(caller: ApiCaller, planId: string): Promise<void>;
}
