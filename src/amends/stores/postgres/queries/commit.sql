SELECT amends_commit_1(
    %b::bigint, %b::bigint, %b::smallint[], %b::text[], %b::integer[], %b::smallint[], %b::bytea[], %b::text[],
    %b::smallint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[],
    %b::bigint[], %b::text[]
)
