"""Episodes to an ordered, weighted, curriculum-staged plan."""
