"""What a network answers: activations, their moments, and those of null networks."""
