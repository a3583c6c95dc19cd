"""An embedded Bedrock runtime on loopback for the demo, the tests and the benchmarks."""
