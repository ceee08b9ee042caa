"""What a neuron does: kinds, equivariance and families, each beside its null."""
