SELECT amends_project_1(
    %b::smallint[], %b::bigint[], %b::bigint[], %t::json, %b::bytea[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[]
)
