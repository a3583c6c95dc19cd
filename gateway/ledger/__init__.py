"""What is counted across requests, and with Redis across replicas: rates, leases, budgets."""
