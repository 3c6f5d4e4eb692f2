SELECT quote_ident('amends_' || left(current_schema(), 50))
