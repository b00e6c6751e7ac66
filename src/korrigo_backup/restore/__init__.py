"""Restores: plan, stage, prove, swap, roll back."""
