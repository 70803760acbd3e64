//! A run's events as console lines, events.jsonl and metrics.csv.
