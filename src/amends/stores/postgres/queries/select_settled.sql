SELECT amends_settled_1()
