#!/usr/bin/env node
/*
 * Loads the program (program.ts) in stages. Node.js 20 opens all modules that are imported at the same
 * time before it reads the first of them, each with a file descriptor: under a limit of 64 the
 * program as a whole could not be loaded. So its larger parts are loaded one after the other, the
 * leaves first. The order has no other meaning.
 */
await import('../protocol/errors.ts')
await import('./store/store.ts')
await import('../cluster/origin/resilience.ts')
await import('./config.ts')
await import('./snapshots/snapshots.ts')
await import('../cluster/routes/router.ts')
await import('./commands/index.ts')
await import('./server.ts')
await import('./program.ts')
