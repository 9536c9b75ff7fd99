/* What the files of `tls-*` are told when they cannot be used, and that they can be exchanged. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type Config, loadConfig } from '../../../server/config.ts'
import { openTls, TlsError } from '../../../server/clients/tls.ts'
import { certificateFile as file, readCertificate, tlsArguments } from '../../certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'ringtier-tls-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

function written(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const node = (...args: readonly string[]): Config =>
  loadConfig({ args: [...tlsArguments('one'), ...args] })

function fault(config: Config): string {
  try {
    openTls(config)
    return ''
  } catch (error) {
    if (error instanceof TlsError) return error.message
    throw error
  }
}

test('without tls-cluster no file is read', (t) => {
  t.is(openTls(loadConfig({ args: ['--tls-cert-file', '/nowhere'] })), null)
})

test('each file that cannot be used is told with its directive', (t) => {
  const large = written('large.crt', 'x'.repeat(1024 * 1024 + 1))
  const empty = written('empty.crt', '')
  const torn = written(
    'torn.crt',
    readCertificate('one.crt').replace(/\n[^\n]+\n-+END/, '\n-----END'),
  )
  const cases: [args: string[], says: RegExp][] = [
    [['--tls-cert-file', ''], /^tls-cert-file: must be given with tls-cluster yes$/],
    [['--tls-key-file', ''], /^tls-key-file: must be given/],
    [['--tls-ca-cert-file', ''], /^tls-ca-cert-file: must be given/],
    [['--tls-cert-file', '/nowhere/a.crt'], /^tls-cert-file '\/nowhere\/a.crt': No such file/],
    [['--tls-cert-file', folder], /^tls-cert-file '.*': is no file$/],
    [['--tls-cert-file', '/dev/zero'], /^tls-cert-file '\/dev\/zero': is no file$/],
    [['--tls-cert-file', large], /is larger than 1048576 bytes$/],
    [['--tls-cert-file', empty], /^tls-cert-file '.*': has no certificate in PEM$/],
    [['--tls-cert-file', torn], /^tls-cert-file '.*': has a certificate that cannot be read$/],
    [['--tls-ca-cert-file', empty], /^tls-ca-cert-file '.*': has no certificate in PEM$/],
    [['--tls-key-file', file('one.crt')], /^tls-key-file '.*': has no private key in PEM$/],
    [
      ['--tls-key-file', file('two.key')],
      /^tls-key-file '.*': is encrypted, and wants tls-key-file-pass$/,
    ],
    [
      ['--tls-key-file', file('two.key'), '--tls-key-file-pass', 'shut'],
      /^tls-key-file '.*': has no private key in PEM, or tls-key-file-pass is wrong$/,
    ],
    [
      ['--tls-key-file', file('expired.key')],
      /^tls-key-file '.*': is not the key of the certificate/,
    ],
    [
      ['--tls-ca-cert-file', file('stranger-ca.crt')],
      /^tls-cert-file '.*one.crt': no certificate in tls-ca-cert-file has signed it/,
    ],
  ]
  for (const [args, says] of cases) t.regex(fault(node(...args)), says, args.join(' '))
  t.is(fault(node()), '')
  t.is(fault(loadConfig({ args: tlsArguments('two') })), '')
  // One whose time is over is used all the same: the others say so, and the time may be wrong here.
  t.is(fault(loadConfig({ args: tlsArguments('expired') })), '')
})

test('a bundle of CAs may have others beside it', (t) => {
  const bundle = written(
    'bundle.crt',
    readCertificate('stranger-ca.crt') + readCertificate('ca.crt'),
  )
  t.is(fault(node('--tls-ca-cert-file', bundle)), '')
})

test('CONFIG SET exchanges certificate and key together, or neither', (t) => {
  const config = node()
  const tls = openTls(config)!
  const [context, heard] = [tls.context, [] as string[]]
  tls.onChange(({ certificate }) => heard.push(certificate))
  const refusal = config.set([['tls-cert-file', file('two.crt')]])
  t.regex(refusal ?? '', /argument 'tls-cert-file'\) - tls-key-file '.*': is not the key of/)
  t.is(config['tls-cert-file'], file('one.crt'))
  t.is(tls.context, context)
  const both: [string, string][] = [
    ['tls-cert-file', file('two.crt')],
    ['tls-key-file', file('two.key')],
    ['tls-key-file-pass', 'open'],
  ]
  t.is(config.set(both), null)
  t.not(tls.context, context)
  t.deepEqual(heard, [readCertificate('two.crt')])
})

test('CONFIG SET to the same name reads the file anew', (t) => {
  const [certificate, key] = [written('a.crt', ''), written('a.key', '')]
  const put = (owner: string): void => {
    writeFileSync(certificate, readCertificate(`${owner}.crt`))
    writeFileSync(key, readCertificate(`${owner}.key`))
  }
  put('one')
  const config = node('--tls-cert-file', certificate, '--tls-key-file', key)
  const tls = openTls(config)!
  put('expired')
  t.is(tls.keys.certificate, readCertificate('one.crt'))
  t.is(config.set([['tls-cert-file', certificate]]), null)
  t.is(tls.keys.certificate, readCertificate('expired.crt'))
})

test('tls-cluster cannot be changed while the server runs', (t) => {
  t.regex(node().set([['tls-cluster', 'no']]) ?? '', /going over to TLS while the server runs/)
})
