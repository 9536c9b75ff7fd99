/*
 * The examples of docs/cluster.md for Kubernetes and Compose, as far as that goes without either: their
 * arguments and environment are read from the page, each container is a process in a network namespace with the
 * image's entrypoint, and names are answered by a DNS server of the test's, for which each container
 * has the resolv.conf that it would have.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { PROJECT, RINGTIER } from '../process.ts'
import { until } from '../until.ts'
import { HUB, Namespaces, NODE_PORT, whyNoNamespaces } from './namespaces/namespaces.ts'

const page = readFileSync(join(PROJECT, 'docs/cluster.md'), 'utf8')
const dockerfile = readFileSync(join(PROJECT, 'Dockerfile'), 'utf8')

const PASSWORD = 'the password of this test'

/** What stands in the example's secrets. */
const SECRETS: Readonly<Record<string, string>> = {
  RINGTIER_CLUSTER_SECRET: 'the secret of this test',
  RINGTIER_REQUIREPASS: PASSWORD,
}

interface Container {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Its name in the cluster. */
  readonly name: string
}

interface Deployment {
  readonly containers: readonly Container[]
  /** Of DNS: names without their domain, each with the places of those whose addresses it has. */
  readonly names: Readonly<Record<string, readonly number[]>>
  readonly domain: string
  readonly resolvConf: string
}

/** The YAML in the page's section of this title. */
function exampleOf(title: string): string {
  const example = new RegExp(`^### ${title}\\n.*?^\`\`\`yaml\\n(.*?)^\`\`\`$`, 'ms').exec(page)
  return example![1]!
}

function found(text: string, pattern: RegExp): string {
  const match = pattern.exec(text)
  if (match === null) throw new Error(`the example has no ${pattern.source}`)
  return match[1]!
}

/** Environment variables of ringtier that the example takes from elsewhere. */
function envOf(example: string, pattern: RegExp): Record<string, string> {
  const names = [...example.matchAll(pattern)].map(([, name]) => name!)
  return Object.fromEntries(names.map((name) => [name, SECRETS[name]!]))
}

function imageEnv(): Record<string, string> {
  const pairs = found(dockerfile, /^ENV (.*)$/m).split(' ')
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string]))
}

/** A word that is a path of the image, as a path here. */
function here(text: string): string {
  return text.replace('/ringtier/dist/server/main.js', RINGTIER)
}

function placesOf(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

function kubernetes(): Deployment {
  const yaml = exampleOf('Kubernetes')
  const places = placesOf(Number(found(yaml, /^ {2}replicas: (\d+)$/m)))
  const service = found(yaml, /^kind: Service\nmetadata: \{ name: ([a-z]+) \}$/m)
  const set = found(yaml, /^kind: StatefulSet\nmetadata: \{ name: ([a-z]+) \}$/m)
  const entrypoint = JSON.parse(found(dockerfile, /^ENTRYPOINT (.*)$/m)) as string[]
  const args = [...yaml.matchAll(/^ +- (--.*)$/gm)].map(([, arg]) => arg!)
  const fixed = envOf(yaml, /\{?name: (RINGTIER_\w+)/g)
  const podVariable = found(yaml, /name: (\w+), valueFrom: \{ fieldRef: .*metadata.name/)
  const containers = places.map((i): Container => {
    const expand = (word: string): string => word.replace(`$(${podVariable})`, `${set}-${i}`)
    return {
      command: [...entrypoint.map(here), ...args.map(expand)],
      env: { ...imageEnv(), ...fixed, [podVariable]: `${set}-${i}` },
      name: `${set}-${i}.${service}:${NODE_PORT}`,
    }
  })
  const pods = places.map((i) => [`${set}-${i}.${service}`, [i]] as const)
  const domain = 'default.svc.cluster.local'
  const search = `search ${domain} svc.cluster.local cluster.local\noptions ndots:5\n`
  return {
    containers,
    names: { [service]: places, ...Object.fromEntries(pods) },
    domain,
    resolvConf: search,
  }
}

function compose(): Deployment {
  const yaml = exampleOf('Compose')
  const places = placesOf(Number(found(yaml, /replicas: (\d+)/)))
  const service = found(yaml, /^services:\n {2}([a-z]+):$/m)
  const entrypoint = found(yaml, /entrypoint: \[(.*)\]/).split(', ')
  const command = found(yaml, /command:\n +- (.*?)\n +environment:/s).replaceAll(/\s+/g, ' ')
  const hostOf = (i: number): string => `3f2a9c51d0e${i}`
  const containers = places.map((i): Container => {
    return {
      command: [
        ...entrypoint.map((word) => word.replaceAll("'", '')),
        here(command).replaceAll('$$', '$'),
      ],
      env: {
        ...imageEnv(),
        ...envOf(yaml, /^ +(RINGTIER_\w+): \$\{\w+\}$/gm),
        HOSTNAME: hostOf(i),
      },
      name: `${hostOf(i)}:${NODE_PORT}`,
    }
  })
  const hosts = places.map((i) => [hostOf(i), [i]] as const)
  const names = { [service]: places, ...Object.fromEntries(hosts) }
  return { containers, names, domain: '', resolvConf: 'options ndots:0\n' }
}

/** Ends a process when the test is over, before the network goes. */
function childOf(t: ExecutionContext, child: ChildProcess): ChildProcess {
  const ended = new Promise((resolve) => child.once('close', resolve))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return child
}

async function deploy(t: ExecutionContext, deployment: Deployment): Promise<void> {
  const { containers, names, domain, resolvConf } = deployment
  const network = await Namespaces.open(containers.length)
  t.teardown(() => network.close())
  const folder = mkdtempSync(join(tmpdir(), 'ringtier-deployment-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'resolv.conf')
  writeFileSync(file, `nameserver ${HUB}\n${resolvConf}`)

  const zone = Object.entries(names).map(([name, places]) => {
    return [domain === '' ? name : `${name}.${domain}`, places.map((i) => network.hosts[i]!)]
  })
  const nameServer = new URL('./namespaces/name-server.js', import.meta.url).pathname
  const words = [...network.inHub, process.execPath, nameServer, HUB]
  const zoneText = JSON.stringify(Object.fromEntries(zone))
  const server = childOf(t, spawn(words[0]!, [...words.slice(1), zoneText]))
  await new Promise((resolve) => server.stdout!.once('data', resolve))

  // Their own PATH first: the example says `node`.
  const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter)
  const outputs = containers.map(({ command, env }, i) => {
    const mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    const all = [...network.site(i).words, 'sh', '-c', mount, file, ...command]
    const child = childOf(t, spawn(all[0]!, all.slice(1), { env: { ...env, PATH }, cwd: folder }))
    let output = ''
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    return { read: () => output, hasEnded: () => child.exitCode !== null }
  })

  const clients = []
  for (const i of containers.keys()) {
    const connect = async () => {
      if (outputs[i]!.hasEnded()) throw new Error(outputs[i]!.read())
      const client = await network.client(i)
      try {
        return (await client.command('AUTH', PASSWORD)) === '+OK\r\n' ? client : null
      } catch {
        return null
      }
    }
    let client: Awaited<ReturnType<typeof connect>> = null
    await until(async () => (client = await connect()) !== null)
    t.teardown(() => client!.close())
    clients.push(client!)
  }
  const size = new RegExp(`cluster_slots_pfail:0\\r\\n[^]*cluster_size:${containers.length}\\r\\n`)
  for (const client of clients) {
    await until(async () => size.test(await client.command('CLUSTER', 'INFO')))
    const nodes = await client.command('CLUSTER', 'NODES')
    for (const { name } of containers) t.true(nodes.includes(name.split(':')[0]!), nodes)
  }
  for (let i = 0; i < 30; i++) {
    t.is(await clients[i % clients.length]!.command('SET', `key:${i}`, `${i}`), '+OK\r\n')
    for (const client of clients) t.is(String(await client.get(`key:${i}`)), `${i}`)
  }
}

const why = whyNoNamespaces()
for (const [title, read] of [
  ['Kubernetes', kubernetes],
  ['Compose', compose],
] as const) {
  if (why !== null) {
    test.skip(`the example for ${title}: no network namespaces here: ${why}`, () => {})
  } else {
    test.serial(`the example for ${title} is a cluster`, (t) => deploy(t, read()))
  }
}
