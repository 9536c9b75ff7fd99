import { transcripts } from './transcript.ts'

transcripts(
  {
    'OBJECT FREQ and IDLETIME where the time of an access is kept': [
      'SET k value',
      '~5 OBJECT IDLETIME k',
      'GET k',
      '~5 OBJECT IDLETIME k',
      'OBJECT IDLETIME nosuch',
      'OBJECT FREQ k',
      'OBJECT FREQ nosuch',
    ],
  },
  { ringtier: ['--maxmemory-policy', 'lru'], redis: ['--maxmemory-policy', 'allkeys-lru'] },
)
