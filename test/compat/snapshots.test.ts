import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { transcripts } from './transcript.ts'

const folder = mkdtempSync(join(tmpdir(), 'ringtier-snapshots-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

/** What INFO says of changes since the last save. */
const changes = '#rdb_changes_since_last_save INFO persistence'

transcripts(
  {
    'SAVE and LASTSAVE': [
      'SAVE x',
      'SAVE',
      '? LASTSAVE',
      'LASTSAVE x',
      '#rdb_changes_since_last_save,rdb_bgsave_in_progress,rdb_last_bgsave_status,loading INFO persistence',
      '#rdb_last_bgsave_time_sec,rdb_current_bgsave_time_sec,aof_enabled INFO persistence',
    ],
    'BGSAVE with words that it has not': [
      'BGSAVE x',
      'BGSAVE SCHEDULE x',
      'BGSAVE schedule schedule',
    ],
    // Not after a SAVE: in a pipeline ours goes on while it saves, Redis does not.
    'every write counts': [
      changes,
      ...[
        ...['SET a 1', 'SET a 2 EX 100', 'SET a 1 NX', 'SET nosuch 1 XX', 'SET a 3 GET'],
        ...['MSET a 1 b 2 c 3', 'MSETNX k1 1 k2 2', 'MSETNX k1 1 k3 2', 'SETNX q 1', 'SETNX q 1'],
        ...['SETEX s 10 1', 'PSETEX s 10000 1', 'GETSET a 1', 'GETDEL k1', 'GETDEL k1', 'GET a'],
        ...['GETEX a', 'GETEX a EX 10', 'GETEX a PERSIST', 'GETEX a PERSIST', 'GETEX nosuch EX 1'],
        ...['INCR n', 'DECR n', 'INCRBY n 5', 'INCR a x', 'INCRBYFLOAT f 1.5', 'INCR q', 'INCR f'],
        ...['APPEND a x', 'APPEND new x', 'SETRANGE a 0 zz', 'SETRANGE a 0 ""', 'SETRANGE n2 3 x'],
        ...['EXPIRE a 100', 'EXPIRE nosuch 100', 'EXPIRE a 50 GT', 'PERSIST a', 'PERSIST a'],
        ...['EXPIRE b -1', 'EXPIRE b -1', 'PEXPIREAT c 1', 'EXPIREAT n 99999999999', '~1 TTL n'],
        ...['DEL a b c', 'UNLINK q', 'TOUCH n', 'EXISTS n', 'DEL nosuch', 'STRLEN n'],
        ...[
          'SELECT 1',
          'SET a 1',
          'SET b 1',
          'FLUSHDB',
          'FLUSHDB',
          'SELECT 0',
          'FLUSHALL',
          'FLUSHALL',
        ],
      ].flatMap((line) => [line, changes]),
    ],
    'save points are set and read': [
      'CONFIG SET save "900 1 60 1000"',
      'CONFIG GET save',
      'CONFIG SET save "900"',
      'CONFIG SET save "0 1"',
      'CONFIG GET save',
      'CONFIG SET save ""',
      'CONFIG GET save',
    ],
    'COMMAND INFO of the commands about snapshots': [
      'COMMAND INFO save',
      'COMMAND INFO bgsave',
      'COMMAND INFO lastsave',
      'COMMAND INFO shutdown',
    ],
  },
  { ringtier: ['--dir', folder] },
)
