"""Commands of the exams application."""
