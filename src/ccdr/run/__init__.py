"""What is due, and `ccdr run`."""
