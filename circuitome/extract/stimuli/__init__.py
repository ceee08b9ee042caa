"""What is shown to a network: stimuli, random ensembles, pictures."""
