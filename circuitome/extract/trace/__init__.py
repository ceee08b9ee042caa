"""The wiring of a network: its exported graph, followed channel by channel."""
