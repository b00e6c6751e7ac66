"""Migrations of the exams application."""
