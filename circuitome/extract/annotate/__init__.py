"""What a neuron does: stimuli, responses, kinds, equivariance and families, each beside its null."""
