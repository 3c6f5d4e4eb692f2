-- Whether an older release folded some summary.
SELECT EXISTS (SELECT FROM amends_summaries WHERE shape < 3)
