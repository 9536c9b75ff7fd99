/* ACL with the default user only, and MODULE, beside redis-server. */
import { transcripts } from './transcript.ts'

const read = ['ACL WHOAMI', 'ACL USERS', 'ACL LIST', 'ACL GETUSER default', 'ACL GETUSER ann']

transcripts({
  'the default user is the only one, and may do everything': [
    ...read,
    'ACL GETUSER DEFAULT',
    'ACL GETUSER ""',
    'ACL GETUSER',
    'ACL WHOAMI x',
    'ACL USERS x',
    'ACL',
    'ACL nosuch',
  ],
  'its password is told by its digest': [
    'CONFIG SET requirepass "s\xc3\xa9cret"',
    ...read,
    'b: ACL WHOAMI',
    'CONFIG SET requirepass ""',
    ...read,
  ],
  'categories, and commands of one': [
    'ACL CAT',
    'ACL CAT nosuch',
    '{} ACL CAT string',
    '{} ACL CAT BITMAP',
    'ACL CAT string x',
    'ACL CAT "no\\r\\nsuch\\x00"',
  ],
  'there are no modules': ['MODULE LIST', 'MODULE LIST x', 'MODULE', 'MODULE nosuch'],
})
