-- Whether an older release folded some summary.
SELECT EXISTS (SELECT 1 FROM amends_summaries WHERE shape < 2)
