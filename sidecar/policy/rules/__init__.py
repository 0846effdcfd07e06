"""What a rule is made of: conditions, checks, shares of clients, and the facts they look at."""
