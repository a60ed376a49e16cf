/** NOTIFY on this channel: there is mail to deliver. The queue's rows are the truth; a missed one is found by looking. */
export const QUEUE_CHANNEL = 'tollgate_queue';

/** NOTIFY on this channel: clients, directories, lists or policies changed. The rows of directory_changes say whose. */
export const DIRECTORY_CHANNEL = 'tollgate_directory';

/** NOTIFY on this channel: something that is watched live changed. The rows of live_changes say what. */
export const LIVE_CHANNEL = 'tollgate_live';
