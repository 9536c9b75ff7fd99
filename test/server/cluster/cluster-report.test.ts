import test from 'ava'
import {
  type AskedNode,
  problemsOf,
  ringLines,
  statusLines,
} from '../../../server/cluster/cluster-report.ts'
import { type ClusterView, readView } from '../../../server/cluster/cluster-view.ts'

const id = 'f'.repeat(40)

/** A view from lines of CLUSTER NODES, each without its id: `a:1@1 myself,master 0-8191`. */
function viewOf(lines: readonly string[], epoch = 3, state = 'ok'): ClusterView | null {
  const nodes = lines.map((line) => {
    const [address, flags, ...ranges] = line.split(' ')
    return `${id} ${address} ${flags} - 0 0 ${epoch} connected ${ranges.join(' ')}`.trimEnd()
  })
  return readView({
    nodes: `${nodes.join('\n')}\n`,
    info: `cluster_state:${state}\r\ncluster_current_epoch:${epoch}\r\n`,
    keyspace: '# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\n',
  })
}

const asked = (view: ClusterView): AskedNode => ({ name: view.name, view, why: '' })
const a = viewOf(['b:2@2 master 8192-16383', 'a:1@1 myself,master 0-8191'])!
const b = viewOf(['b:2@2 myself,master 8192-16383', 'a:1@1 master 0-8191'])!

test('a view is read from what the node answers', (t) => {
  t.deepEqual(a, {
    ...{ name: 'a:1', epoch: 3, state: 'ok', keys: 12 },
    members: [
      { name: 'a:1', self: true, state: 'up', slots: [{ start: 0, end: 8191 }] },
      { name: 'b:2', self: false, state: 'up', slots: [{ start: 8192, end: 16383 }] },
    ],
  })
  const v6 = viewOf([
    ...['::1:7@7 myself,master 5', 'x:2@2 master,fail?', 'y:3@3 master,fail'],
    'z:4@4 master,nofailover',
  ])!
  t.deepEqual(
    v6.members.map(({ name, state }) => `${name} ${state}`),
    ['::1:7 up', 'x:2 suspect', 'y:3 down', 'z:4 leaving'],
  )
  t.regex(statusLines(v6, []).join('\n'), /2 of 4 nodes live[^]*z:4 {4}leaving {6}0/)
  t.true(problemsOf(v6, [asked(v6)]).includes('::1:7: holds z:4 for leaving'))
  t.deepEqual(v6.members[0]!.slots, [{ start: 5, end: 5 }])
})

test('what is no view is none', (t) => {
  for (const line of [
    'a:1@1 master 0-5',
    'a@1 myself',
    'a:1@1 myself 7-5',
    'a:1@1 myself 0-16384',
    'x',
  ]) {
    t.is(viewOf([line]), null, line)
  }
  t.is(readView({ nodes: '', info: '', keyspace: '' }), null)
  t.is(viewOf(['a\u001b[2J:1@1 myself'])!.name, 'a[2J:1')
})

test('status has a line for each node, with what it tells of itself', (t) => {
  const gone = { name: 'b:2', view: null, why: 'cannot be reached (ECONNREFUSED)' }
  t.deepEqual(statusLines(a, [asked(a), gone]), [
    'a:1: state ok, epoch 3, 2 of 2 nodes live',
    '',
    'node  state  slots   share  keys  epoch',
    'a:1   up      8192  50.0 %    12      3  (asked)',
    'b:2   up      8192  50.0 %     ?      ?  cannot be reached (ECONNREFUSED)',
  ])
})

test('ring has the ranges in order', (t) => {
  t.deepEqual(ringLines(a), ['    0 - 8191   a:1', ' 8192 - 16383  b:2'])
})

test('check finds nothing where all agree', (t) => {
  t.deepEqual(problemsOf(a, [asked(a), asked(b)]), [])
})

test('check tells each way in which nodes can disagree', (t) => {
  const other = viewOf(
    ['b:2@2 myself,master 8000-16382', 'c:3@3 master,fail', 'a:1@1 master,fail? 0-7999'],
    4,
    'fail',
  )!
  t.deepEqual(problemsOf(a, [asked(a), asked(other), { name: 'd:4', view: null, why: 'no' }]), [
    'd:4: no',
    'b:2: 1 slots have no owner',
    'b:2: its state is fail',
    'b:2: holds a:1 for suspect',
    'b:2: holds c:3 for down',
    'b:2: knows a:1, b:2, c:3; a:1 knows a:1, b:2',
    'b:2: has other owners of 193 slots than a:1',
    'b:2: is at epoch 4, a:1 at 3',
  ])
})
