"""The outside world of trading: the aggregator that quotes, and the lock that keeps one watch per shard."""
