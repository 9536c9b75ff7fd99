import { basename, dirname } from 'node:path'
import {
  type Files,
  type InputFile,
  type OutputFile,
  systemError,
} from '../../../server/snapshots/files.ts'

/** What fails, and with which code. */
export interface Faults {
  /** Writing, once so many bytes of a file were taken. */
  write?: { readonly code: string; readonly after: number }
  create?: string
  sync?: string
  close?: string
  rename?: string
  syncFolder?: string
  open?: string
  /** Reading from this position on. */
  read?: { readonly code: string; readonly from: number }
  list?: string
  remove?: string
}

/**
 * A disk in memory, whose operations fail as they are told to. What was not synced counts as written
 * all the same; `steps` says what was done, in its order. With `gate` each write waits until the gate
 * opens.
 */
export class MemoryFiles implements Files {
  readonly pid = 4711
  readonly files = new Map<string, Buffer>()
  readonly steps: string[] = []
  readonly running = new Set<number>()
  faults: Faults = {}
  gate: Promise<void> = Promise.resolve()

  isRunning(pid: number): boolean {
    return this.running.has(pid)
  }

  async open(path: string): Promise<InputFile | null> {
    await this.#step('open', path, this.faults.open)
    const bytes = this.files.get(path)
    if (bytes === undefined) return null
    return {
      size: bytes.length,
      read: async (target, position) => {
        await Promise.resolve()
        const { read } = this.faults
        if (read !== undefined && position >= read.from) {
          throw systemError(read.code, path)
        }
        const part = bytes.subarray(position, position + target.length)
        target.set(part)
        return part.length
      },
      close: () => this.#step('close', path, undefined),
    }
  }

  async create(path: string): Promise<OutputFile> {
    await this.#step('create', path, this.faults.create)
    let space = Buffer.alloc(1024)
    let length = 0
    this.files.set(path, space.subarray(0, 0))
    const append = (bytes: Uint8Array): void => {
      if (length + bytes.length > space.length) {
        space = Buffer.concat([space], 2 * (length + bytes.length))
      }
      space.set(bytes, length)
      length += bytes.length
      this.files.set(path, space.subarray(0, length))
    }
    return {
      write: async (bytes) => {
        await this.gate
        const { write } = this.faults
        if (write !== undefined && length + bytes.length > write.after) {
          append(bytes.subarray(0, Math.max(0, write.after - length)))
          throw systemError(write.code, path)
        }
        append(bytes)
      },
      sync: () => this.#step('sync', path, this.faults.sync),
      close: () => this.#step('close', path, this.faults.close),
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step('rename', to, this.faults.rename)
    this.files.set(to, Buffer.from(this.files.get(from)!))
    this.files.delete(from)
  }

  syncFolder(path: string): Promise<void> {
    return this.#step('sync folder', path, this.faults.syncFolder)
  }

  async remove(path: string): Promise<void> {
    await this.#step('remove', path, this.faults.remove)
    this.files.delete(path)
  }

  async list(folder: string): Promise<readonly string[]> {
    await this.#step('list', folder, this.faults.list)
    return [...this.files.keys()].filter((path) => dirname(path) === folder).map((p) => basename(p))
  }

  async #step(what: string, path: string, code: string | undefined): Promise<void> {
    await Promise.resolve()
    this.steps.push(`${what} ${basename(path)}`)
    if (code !== undefined) throw systemError(code, path)
  }
}
