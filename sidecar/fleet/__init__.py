"""One replica in its fleet: the decisions that all replicas of a service share."""
