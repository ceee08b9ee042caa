"""Universality: how far neurons and layers of one network are found again in another. Works on
bundles, without torch.
"""
