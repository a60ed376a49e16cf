/** NOTIFY on this channel: there is mail to deliver. The queue's rows are the truth; a missed one is found by looking. */
export const QUEUE_CHANNEL = 'tollgate_queue';
