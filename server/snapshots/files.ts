/*
 * The disk as the snapshots see it. They are handed a `Files`, as others are handed a clock: tests
 * give one in memory whose disk is full after so many bytes, or whose fsync fails.
 *
 * All methods reject with the system's error, which has a `code` (ENOSPC, EACCES, EISDIR ...).
 */
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises'
import type { Resolver } from '../../cluster/discovery/dns.ts'
import type { Network, World } from '../../cluster/world.ts'
import type { Tls } from '../clients/tls.ts'

/** What the server is handed: the outside of the cluster, and a disk. */
export interface ServerWorld extends World {
  readonly files: Files
  /** DNS, for `cluster-dns`. */
  readonly resolver?: Resolver
  /** Connections that begin with a TLS handshake, for `tls-cluster`. */
  secure?(tls: Tls): Network
}

/** Whatever fails rejects with the system's error and its `code`. */
export interface Files {
  /** The number of this process, which stands in the names of its temporary files. */
  readonly pid: number
  /** Does a process with this number run on this machine? */
  isRunning(pid: number): boolean
  /** Opens a file for reading; null: there is none. */
  open(path: string): Promise<InputFile | null>
  /** Opens a new file for writing; one of this name is replaced. */
  create(path: string): Promise<OutputFile>
  /** Puts the file in the place of whatever file has the other name. */
  rename(from: string, to: string): Promise<void>
  /** Waits until the names in a folder are on the disk. */
  syncFolder(path: string): Promise<void>
  /** Removes a file; one that does not exist is no error. */
  remove(path: string): Promise<void>
  /** Names of the files in a folder. */
  list(folder: string): Promise<readonly string[]>
}

/** A file that is read; who opened it closes it. */
export interface InputFile {
  /** Bytes, when it was opened. */
  readonly size: number
  /** Fills `target` from a position on, as far as the file goes. Resolves to the bytes read. */
  read(target: Uint8Array, position: number): Promise<number>
  close(): Promise<void>
}

/** A file that is written; who created it closes it. */
export interface OutputFile {
  /** Appends all of these bytes, which must not change meanwhile. One write at a time. */
  write(bytes: Uint8Array): Promise<void>
  /** Waits until what was written is on the disk. */
  sync(): Promise<void>
  close(): Promise<void>
}

class SystemInput implements InputFile {
  readonly size: number
  readonly #handle: FileHandle

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle
    this.size = size
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < target.length) {
      const { bytesRead } = await this.#handle.read(
        target,
        done,
        target.length - done,
        position + done,
      )
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/**
 * So many bytes are sent to the disk as they come, while more are written: else they pile up in
 * memory, and the sync at the end takes as long as all the writing before.
 */
const flushedAtOnce = 32 * 1024 * 1024

class SystemOutput implements OutputFile {
  readonly #handle: FileHandle
  #unflushed = 0
  #flushing: Promise<void> | null = null
  /** Why the disk did not take what was written before. */
  #failure: Error | null = null

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done)
      done += bytesWritten
    }
    this.#unflushed += bytes.length
    if (this.#unflushed >= flushedAtOnce && this.#flushing === null) this.#flush()
  }

  async sync(): Promise<void> {
    await this.#flushing
    // The system tells of an error once: after it the next sync would succeed.
    if (this.#failure !== null) throw this.#failure
    await this.#handle.sync()
  }

  async close(): Promise<void> {
    await this.#flushing
    await this.#handle.close()
  }

  #flush(): void {
    this.#unflushed = 0
    this.#flushing = this.#handle
      .datasync()
      .catch((error: Error) => {
        this.#failure ??= error
      })
      .then(() => {
        this.#flushing = null
      })
  }
}

/** The machine's own. */
export const systemFiles: Files = {
  pid: process.pid,

  isRunning(pid) {
    try {
      process.kill(pid, 0)
      return true
    } catch (error) {
      // It runs, but is somebody else's.
      return codeOf(error) === 'EPERM'
    }
  },

  async open(path) {
    let handle: FileHandle
    try {
      handle = await open(path, 'r')
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    }
    try {
      const facts = await handle.stat()
      // Opening a folder works; reading from it does not.
      if (facts.isDirectory()) throw systemError('EISDIR', path)
      return new SystemInput(handle, facts.size)
    } catch (error) {
      await handle.close()
      throw error
    }
  },

  async create(path) {
    return new SystemOutput(await open(path, 'w', 0o644))
  },

  async rename(from, to) {
    await rename(from, to)
  },

  async syncFolder(path) {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  },

  async remove(path) {
    try {
      await unlink(path)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
  },

  list(folder) {
    return readdir(folder)
  },
}

/** An error as the system's calls throw it. */
export function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code, path })
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}
