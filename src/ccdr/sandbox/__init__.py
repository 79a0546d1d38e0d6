"""Throwaway containers: no network, limits, labels, always removed."""
