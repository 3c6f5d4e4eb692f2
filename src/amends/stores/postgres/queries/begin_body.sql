-- A mark that only this transaction has, how long a statement of the body may take, and how far the worker's batches are.
SELECT set_config('amends.body', %s, true), set_config('statement_timeout', %s, true),
       set_config('idle_in_transaction_session_timeout', %s, true),
       (SELECT batch FROM amends_workers WHERE epoch = %s)
