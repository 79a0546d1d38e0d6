"""What went wrong, as deviations: which records open and end each, and what people have said of it since."""
