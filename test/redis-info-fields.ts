/** Fields of Redis 7.0's INFO that ringtier does not tell, by the reason. */
export const ABSENT_INFO_FIELDS: Readonly<Record<string, readonly string[]>> = {
  'about how Redis was built': [
    'redis_git_sha1',
    'redis_git_dirty',
    'redis_build_id',
    'atomicvar_api',
    'gcc_version',
  ],
  'how far a snapshot has come is not counted in keys': [
    'current_save_keys_processed',
    'current_save_keys_total',
  ],
  'how long memory was over `maxmemory` is not measured: it is only after that was lowered': [
    'total_eviction_exceeded_time',
    'current_eviction_exceeded_time',
  ],
  'all clients of a thread share their buffers': ['reply_buffer_shrinks', 'reply_buffer_expands'],
  'payloads are always checked': ['dump_payload_sanitizations'],
}

/** Fields that Node tells only from version 23.9 on. */
export const INFO_FIELDS_OF_NEW_NODES: readonly string[] = [
  'used_cpu_sys_main_thread',
  'used_cpu_user_main_thread',
]
