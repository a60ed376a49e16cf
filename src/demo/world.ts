/** A client of the demo's partner, with everything that the traffic and the checks need of it. */
export interface DemoClient {
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  readonly domain: string;
  readonly mailboxes: readonly string[];
  readonly alias: string;
  readonly group: string;
  readonly psa: 'connectwise' | 'autotask';
  /** In the PSA. */
  readonly companyId: string;
  readonly contractId: string;
  readonly lineId: string;
}

export interface ClientPlan {
  readonly name: string;
  readonly zone: string;
  readonly domain: string;
  readonly psa: 'connectwise' | 'autotask';
  readonly people: readonly string[];
}

/** Four clients in zones whose days start at four different moments, two of them off the full hour. */
export const CLIENT_PLANS: readonly ClientPlan[] = [
  {
    name: 'Hudson Legal',
    zone: 'America/New_York',
    domain: 'hudson-legal.example',
    psa: 'connectwise',
    people: [
      'Ava Brooks',
      'Ben Carter',
      'Carla Diaz',
      'Dan Evans',
      'Ella Fox',
      'Frank Green',
      'Grace Hall',
      'Henry Irwin',
    ],
  },
  {
    name: 'Thames Dental',
    zone: 'Europe/London',
    domain: 'thames-dental.example',
    psa: 'connectwise',
    people: ['Amelia Shaw', 'Oliver Reed', 'Isla Grant', 'Harry Webb', 'Poppy Lane', 'Jack Cole'],
  },
  {
    name: 'Kathmandu Trekking',
    zone: 'Asia/Kathmandu',
    domain: 'kathmandu-trekking.example',
    psa: 'autotask',
    people: ['Asha Gurung', 'Bikash Rai', 'Chandra Thapa', 'Deepa Lama', 'Kiran Sherpa', 'Maya Tamang', 'Nabin Karki'],
  },
  {
    name: 'Lord Howe Lodge',
    zone: 'Australia/Lord_Howe',
    domain: 'lordhowe-lodge.example',
    psa: 'autotask',
    people: ['Ruby Wilson', 'Noah Kelly', 'Mia Fraser', 'Leo Murray', 'Zoe Nixon'],
  },
];

export function addressOf(person: string, domain: string): string {
  return `${person.toLowerCase().replace(' ', '.')}@${domain}`;
}
