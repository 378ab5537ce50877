"""Side-by-side benchmarks: Kibali and what it could be built with instead, on one machine and the same data."""
