"""Commands that build on each other: started side by side, known to be done, gone on with; and what they take."""
