-- What every connection is set to. `synchronous_commit` off would lose what was acknowledged; and our functions look anew
-- in each of their statements, which they would not in another isolation level.
SELECT set_config('application_name', %s, false),
       set_config('lock_timeout', '5s', false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('jit', 'off', false),
       set_config('default_transaction_isolation', 'read committed', false),
       CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
