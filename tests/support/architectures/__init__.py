"""Architectures of real weights files that torchvision lacks, passed as `file.py:factory`."""
