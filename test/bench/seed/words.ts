/** Words of subjects, the frequent first. */
export const WORDS: readonly string[] =
  `your the invoice meeting order update report account for and new project team payment delivery notice request week review
 offer status security confirm monthly schedule contract quote support ticket service document shared budget plan password
 customer training summer sale shipment tracking reminder newsletter agenda minutes proposal approval travel booking
 receipt statement overdue renewal licence upgrade release notes incident maintenance window backup server migration cloud
 storage printer holiday calendar interview candidate onboarding payroll expense audit compliance policy survey feedback
 webinar conference invitation partner referral discount voucher warranty return refund complaint insurance claim tax
 property lease tender drawing blueprint sample prototype inventory stock warehouse supplier freight customs pallet harvest
 orchard vineyard bakery dental clinic patient referral therapy surgery veterinary legal notary deed mortgage pension fund
 dividend quarterly forecast roadmap sprint backlog retrospective kickoff workshop keynote sponsor booth brochure catalogue
 photo gallery video podcast article draft proofread layout typography logo palette banner campaign audience reach funnel
 landing conversion keyword ranking snippet sitemap domain certificate firewall malware phishing quarantine spam filter relay
 gateway mailbox alias forwarding signature archive retention export import restore snapshot replica failover latency
 throughput bandwidth outage postmortem escalation pager rotation handover checklist runbook playbook glossary appendix
 astrolabe bumblebee cartography driftwood escarpment fjord gossamer heliotrope isthmus juniper kaleidoscope labyrinth
 meridian nebula obsidian periwinkle quicksilver rhapsody saffron tamarind umbrella verdigris windmill xylophone yarrow zephyr`
    .split(/\s+/)
    .filter((word) => word !== '');

/** Weight of each local hour of a working day. */
const HOURS = [0.3, 0.2, 0.2, 0.2, 0.3, 0.5, 1, 2, 5, 8, 8.5, 8, 6, 7, 8, 7.5, 7, 5, 3, 2, 1.5, 1.2, 0.8, 0.5];

/** 1,024 quantiles of the day, each as a quarter of an hour, 0 to 95. */
export function quarterQuantiles(): readonly number[] {
  const weights = Array.from({ length: 96 }, (_, quarter) => HOURS[Math.floor(quarter / 4)] ?? 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const quantiles: number[] = [];
  let quarter = 0;
  let below = weights[0] ?? 0;
  for (let q = 0; q < 1_024; q += 1) {
    while (((q + 0.5) / 1_024) * total > below && quarter < 95) {
      quarter += 1;
      below += weights[quarter] ?? 0;
    }
    quantiles.push(quarter);
  }
  return quantiles;
}
