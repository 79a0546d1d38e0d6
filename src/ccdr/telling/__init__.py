"""What the judgement says, in words, pages and numbers: no rule of its own."""
