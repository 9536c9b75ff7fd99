import { transcripts } from './transcript.ts'

transcripts(
  {
    'there is one database in a cluster': [
      'SELECT 0',
      'SELECT 1',
      'SELECT 16',
      'SELECT -1',
      'SELECT x',
    ],
    'no command leads to another database': ['SWAPDB 0 0', 'SWAPDB 0 1', 'SWAPDB x 99'],
    'the slot of a key': [
      'CLUSTER KEYSLOT a',
      'CLUSTER KEYSLOT ""',
      'CLUSTER KEYSLOT {a}b',
      'CLUSTER KEYSLOT b{a}',
      'CLUSTER KEYSLOT {}a',
      'CLUSTER KEYSLOT "{\\x00\\xff}"',
      'CLUSTER KEYSLOT',
      'CLUSTER KEYSLOT a b',
    ],
    'what cluster clients say': [
      'READONLY',
      'READWRITE',
      'READONLY x',
      '? CLUSTER MYID',
      '? HELLO',
    ],
    'what CLUSTER refuses': [
      'CLUSTER',
      'CLUSTER x',
      'CLUSTER SLOTS x',
      'CLUSTER MYID x',
      'CLUSTER INFO x',
    ],
    'the kinds of what CLUSTER tells': [
      '? CLUSTER INFO',
      '? CLUSTER NODES',
      '? CLUSTER SLOTS',
      '? CLUSTER SHARDS',
      '#cluster_slots_fail,cluster_slots_pfail,cluster_known_nodes CLUSTER INFO',
    ],
  },
  {
    ringtier: ['--cluster-self', '127.0.0.1:7999'],
    redis: ['--cluster-enabled', 'yes'],
  },
)
