/** This program's version, as in package.json. */
export const version = '0.1.0'

/** The Redis whose commands, replies and error lines are spoken here; clients look at it. */
export const redisVersion = '7.0.15'
