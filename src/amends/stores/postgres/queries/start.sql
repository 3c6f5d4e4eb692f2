SELECT amends_start_1(
    %b::text[], %b::smallint[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[],
    %t::json, %b::bytea[], %b::text[], %b::text[], %b::text[]
)
