-- What `top` reads of sagas that ended, in the order in which it ranks their lengths: one scan of this index and
-- no sort. A saga gets its entry once, when it ends.
CREATE INDEX amends_summaries_figures
ON amends_summaries (name, version, ended - started, ended, started, status, manual, intervened)
WHERE ended > 0;
