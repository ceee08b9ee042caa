"""A network and its weights: from a name on the command line to a module on a device."""
